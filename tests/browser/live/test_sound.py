"""The sound that the page sends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page

if TYPE_CHECKING:
    pass


class TestResampling:
    """The worklet, with a tone in the place of the microphone."""

    LEVELS = """async ([rate, frequencies]) => {
      const { captureWorklet } = document.querySelector("#talk").dataset;
      const levels = [];
      for (const frequency of frequencies) {
        const context = new OfflineAudioContext(1, rate, rate);
        await context.audioWorklet.addModule(captureWorklet);
        const options = { processorOptions: { rate: 24000, samples: 768 } };
        const node = new AudioWorkletNode(context, "capture", options);
        const pieces = [];
        node.port.onmessage = ({ data }) => pieces.push(...data);
        const tone = new OscillatorNode(context, { frequency });
        tone.connect(node).connect(context.destination);
        tone.start();
        await context.startRendering();
        await new Promise((resolve) => setTimeout(resolve, 200));
        const middle = pieces.slice(4000, 20000);
        const power = middle.reduce((sum, sample) => sum + (sample / 32768) ** 2, 0) / middle.length;
        levels.push(10 * Math.log10(power));
      }
      return levels;
    }"""

    @pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
    def test_speech_passes_and_nothing_aliases(self, talk: Page, rate: int) -> None:
        full = -3.0  # dBFS of a tone
        passed = talk.evaluate(self.LEVELS, [rate, [100, 1000, 6000]])
        assert all(abs(level - full) < 0.5 for level in passed), passed
        if rate > 24_000:
            stopped = talk.evaluate(self.LEVELS, [rate, [13_500, 16_000, 20_000]])
            assert all(level < full - 40 for level in stopped), stopped
