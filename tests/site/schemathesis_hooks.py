"""The file that Schemathesis sends: a recording that a voice can be cloned from."""

import schemathesis
from hypothesis import strategies

from apps.speech.audio.resampling import join
from tests.audio_samples import clip, to_wav

RECORDING = to_wav(join([clip("austen-0870.wav"), clip("austen-0920.wav")]))

schemathesis.openapi.format("binary", strategies.just(RECORDING))
