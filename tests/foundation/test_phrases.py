from __future__ import annotations

import pytest

from marketplace.foundation.phrases import phrased


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("老影像与古画的智能修复", "老影像<wbr>与古画的<wbr>智能<wbr>修复"),
        ("取消报名：互动叙事与分支剧本", "取消<wbr>报名：互动<wbr>叙事<wbr>与分支<wbr>剧本"),
        ("Sound & <light>", "Sound &amp; &lt;light&gt;"),
        ("", ""),
    ],
)
def test_a_heading_breaks_between_words(text, broken):
    assert phrased(text) == broken
