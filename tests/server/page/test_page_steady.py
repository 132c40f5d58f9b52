"""Nothing on the page jumps, and nothing is lost where text is large: in a real Chromium."""

import pytest
from browser import needed
from calling import Parts
from test_page import STORY, recording, visiting

pytestmark = [needed, pytest.mark.timeout(120)]

SHIFTS = """
  window.shifts = [];
  new PerformanceObserver((list) => {
    for (const { value, sources } of list.getEntries())
      shifts.push([value, sources.map(({ node }) => node?.id || node?.outerHTML || node?.data)]);
  }).observe({ type: "layout-shift", buffered: true });
"""
OUTSIDE = """
  // Whatever is to be seen and reaches over the side of the box that it is scrolled in.
  const inside = document.querySelectorAll("#settings, #transcript, #welcome");
  return [document.documentElement, ...inside]
    .filter((box) => box.checkVisibility() && box.scrollWidth > box.clientWidth)
    .map((box) => [box.id, box.scrollWidth, box.clientWidth]);
"""
COVERED = """
  // What lies under something else where it is scrolled to, and so could not be pressed.
  const scope = document.querySelector("dialog[open]") ?? document;
  return [...scope.querySelectorAll("button, input, select, summary, h1, h2, #state")]
    .filter((one) => one.checkVisibility({ visibilityProperty: true }) && !one.closest(".unseen"))
    .filter((one) => {
      one.scrollIntoView({ block: "center" });
      const { x, y, width, height } = one.getBoundingClientRect();
      const top = document.elementFromPoint(x + width / 2, y + height / 2);
      return !one.contains(top) && !one.closest("label")?.contains(top);
    })
    .map((one) => one.outerHTML);
"""


@pytest.mark.parametrize("size", [(1100, 820), (390, 844), (320, 640)])
def test_nothing_moves_when_a_call_begins(tmp_path, size):
    microphone = recording(tmp_path, 60)
    with visiting(Parts(*STORY), tmp_path, microphone=microphone, size=size) as person:
        person.driver.execute_script(SHIFTS)
        person.press("talk")
        person.waits_for_state("Listening")
        person.press("talk")
        person.waits_for_state("Ready when you are")
        person.press("talk")
        person.waits_for_state("Listening")
        # Shifts are told of with the frame that shows them.
        person.driver.execute_async_script(
            "requestAnimationFrame(() => requestAnimationFrame(arguments[0]))"
        )
        assert person.driver.execute_script("return shifts") == []


@pytest.mark.parametrize("size", [(1100, 820), (390, 844), (320, 640)])
def test_with_text_of_twice_the_size_nothing_is_cut_off_or_covered(tmp_path, size):
    microphone = recording(tmp_path, 60)
    with visiting(Parts(*STORY), tmp_path, microphone=microphone, size=size) as person:
        double = "document.documentElement.style.fontSize = '200%'"
        person.driver.execute_script(double)

        def lost():
            return person.driver.execute_script(OUTSIDE) + person.driver.execute_script(COVERED)

        assert lost() == []
        person.press("talk")
        person.waits_for_state("Listening")
        assert lost() == []
        person.type("a story")
        person.waits_for(lambda: person.sees(".times"))
        person.driver.find_element("css selector", ".times summary").click()
        assert lost() == []
        person.press("settings-open")
        assert lost() == []
