#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Opens the reference in headless Chromium, in a wide and in a narrow window.

  browser.py build/docs/html

Fails if a picture is not shown, the navigation is not there or a page is wider than its window. Screenshots of the
first page, a topic and a word are in screenshots/, next to the folder.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from html import unescape
from pathlib import Path

WIDTHS = (1280, 420)
SHOWN = ("index", "group__patterns", "group__patterns-random")
SCRIPT = """
async function look(page, width) {
  const frame = document.createElement('iframe');
  frame.style.width = width + 'px';
  frame.style.height = '900px';
  frame.src = page;
  document.body.append(frame);
  await new Promise(loaded => frame.onload = loaded);
  const shown = frame.contentDocument;
  for (let i = 0; i < 100 && !shown.querySelector('#nav-tree-contents li'); ++i)
    await new Promise(later => setTimeout(later, 20));
  const problems = [];
  for (const image of shown.images) if (!image.naturalWidth) problems.push('picture not shown: ' + image.src);
  if (!shown.querySelector('#nav-tree-contents li')) problems.push('no navigation');
  const wide = shown.scrollingElement.scrollWidth, content = shown.querySelector('#doc-content');
  if (Math.max(wide, content ? content.scrollWidth : 0) > width) problems.push('wider than its window');
  frame.remove();
  return problems.map(problem => page.split('/').pop() + ', ' + width + ' pixels: ' + problem);
}
const found = [];
for (const page of PAGES) for (const width of WIDTHS) found.push(...await look(page, width));
document.body.textContent = 'found ' + JSON.stringify(found);
"""


def chromium(profile, *arguments):
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    command = [program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
               "--allow-file-access-from-files", f"--user-data-dir={profile}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout


def main():
    folder = Path(sys.argv[1]).resolve()
    pictures = re.compile(r'<img (?!class="footer"|id="MSearch)')
    pages = [path.as_uri() for path in sorted(folder.glob("*.html"))
             if "-" not in path.stem and not path.stem.startswith("concept")
             or pictures.search(path.read_text(encoding="utf-8"))]
    screenshots = folder.parent / "screenshots"
    screenshots.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as profile:
        test = Path(profile) / "test.html"
        script = SCRIPT.replace("PAGES", json.dumps(pages)).replace("WIDTHS", json.dumps(WIDTHS))
        test.write_text(f'<body><script type="module">{script}</script></body>', encoding="utf-8")
        shown = chromium(profile, "--virtual-time-budget=600000", "--dump-dom", test.as_uri())
        for width in WIDTHS:
            frames = [f'<iframe src="{(folder / name).as_uri()}.html" style="border: 0" width="{width}" '
                      'height="1000"></iframe>' for name in SHOWN]
            test.write_text(f'<body style="margin: 0; display: flex">{"".join(frames)}</body>', encoding="utf-8")
            chromium(profile, "--virtual-time-budget=5000", f"--window-size={len(SHOWN) * width},1000",
                     f"--screenshot={screenshots}/{width}.png", test.as_uri())
    found = re.search(r"found (\[.*\])", unescape(shown))
    problems = json.loads(found[1]) if found else ["Chromium did not finish: " + shown[:200]]
    print("\n".join(problems) or f"{len(pages)} pages in Chromium: ok, screenshots in {screenshots}")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
