"""LangChain: its loader of recordings, and the error of its chat model, because there is no chat at this site."""

from __future__ import annotations

import imageio_ffmpeg
import openai
from langchain_community.document_loaders.parsers.audio import OpenAIWhisperParser
from langchain_core.documents.base import Blob
from langchain_openai import ChatOpenAI
from pydub import AudioSegment

from tests.clients.calls import BASE_URL, RECORDING, TOKEN, WORDS, call, error_of

AudioSegment.converter = imageio_ffmpeg.get_ffmpeg_exe()


def load(**options: str) -> list[str]:
    parser = OpenAIWhisperParser(api_key=TOKEN, base_url=BASE_URL, **options)
    return [document.page_content for document in parser.lazy_parse(Blob.from_path(RECORDING))]


if __name__ == "__main__":
    with call("OpenAIWhisperParser"):
        assert load() == [WORDS]
    with call("OpenAIWhisperParser srt, language"):
        (subtitles,) = load(response_format="srt", language="English")
        assert "-->" in subtitles
    with call("ChatOpenAI, no such address"):
        chat = ChatOpenAI(base_url=BASE_URL, api_key=TOKEN, model="gpt-5", max_retries=0)
        assert error_of(openai.NotFoundError, lambda: chat.invoke("Hello?")).code == "not_found"
