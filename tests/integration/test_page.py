"""The page at `/` in a real browser: by mouse, by keyboard, on a phone, with a key, offline."""

import re
import socket
import threading
from contextlib import contextmanager

import pytest
import uvicorn
from playwright.sync_api import expect
from tests.chromium import PROGRAM, browser
from tests.served_shop import N, picture

from vlmrec.data.dataset import Dataset
from vlmrec.serve.keys import new_key
from vlmrec.serve.options import ServeOptions
from vlmrec.serve.running import make_app, make_service, store_history

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="Chromium is not installed"),
]
READY = "body[data-ready]"
BOXES = """
[...document.querySelectorAll("button, input:not([type=radio], [type=file]), select")]
  .filter(one => one.offsetParent && !one.closest("[hidden]") && !one.closest(".switch"))
  .map(one => { const box = one.getBoundingClientRect();
    return [one.id || one.className || one.textContent, box.left, box.right, box.height]; })
"""


@contextmanager
def served(shop, tmp_path, name="content", **given):
    """Serves a run at an address of this machine."""
    options = ServeOptions(database=f"sqlite:///{tmp_path / 'page.db'}", **given)
    data = Dataset.load(shop / "data")
    service = make_service(shop / "runs" / name, options, data)
    store_history(service.store, data)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = uvicorn.Config(make_app(service), port=port, log_config=None, access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
    try:
        yield f"http://127.0.0.1:{port}", service
    finally:
        server.should_exit = True
        thread.join(timeout=20)


def listed(page, column=0):
    return [
        one.get_attribute("data-item")
        for one in page.locator("#columns .column").nth(column).locator("li[data-item]").all()
        if "why" not in (one.get_attribute("class") or "")
    ]


def settled(page):
    expect(page.locator("#columns:not([aria-busy])")).to_have_count(1)


def asked(page, address, **wish):
    answer = page.request.post(f"{address}/recommend", data={"k": 10, **wish})
    return [one["item_id"] for one in answer.json()["items"]]


def test_a_visitor_picks_looks_and_compares(shop, tmp_path):
    with served(shop, tmp_path, runs=shop / "runs") as (address, _), browser() as window:
        shown = window(1280)
        page = shown.page
        page.goto(address)
        page.wait_for_selector(READY)
        assert "reads words and pictures · 30 items" in page.locator("#served").inner_text()
        assert page.locator("#grid button").count() == N
        assert "the most frequent" in page.locator("#lists-told").inner_text()
        page.get_by_label("Search").fill("bbb 7")
        expect(page.locator("#grid button")).to_have_count(1)
        page.get_by_role("button", name="Pick: thing bbb 7").first.click()
        page.locator("#lists").get_by_role("button", name="Pick: ").first.click()
        settled(page)
        history = [one.get_attribute("title") for one in page.locator("#picked li").all()]
        assert history[0] == "thing bbb 7"
        assert len(history) == 2
        names = [f"i{int(title.split()[-1]):02d}" for title in history]
        assert listed(page) == asked(page, address, history=names)
        for label, modality in (("Words", "text"), ("Pictures", "image")):
            page.get_by_label(label, exact=True).check(force=True)
            settled(page)
            assert listed(page) == asked(page, address, history=names, modality=modality)
        page.get_by_label("Both", exact=True).check(force=True)
        page.get_by_label("Beside it").select_option("ids")
        expect(page.locator("#columns .column")).to_have_count(2)
        shared = set(listed(page, 0)) & set(listed(page, 1))
        assert page.locator("#lists-told").inner_text() == f"{len(shared)} of 10 in both lists"
        assert page.locator("#columns li.both").count() == 2 * len(shared)
        # The address holds the history: another window shows the same.
        again = window(1280).page
        again.goto(page.url)
        again.wait_for_selector(READY)
        assert [one.get_attribute("title") for one in again.locator("#picked li").all()] == history
        page.screenshot(path=tmp_path / "page.png", full_page=True)
        assert shown.complaints == []
        assert all(one.startswith(address) for one in shown.requests)


def test_an_explanation_says_what_the_route_says(shop, tmp_path):
    with served(shop, tmp_path) as (address, _), browser() as window:
        page = window(1280).page
        page.goto(f"{address}/#item=i00&item=i04&item=gone")
        page.wait_for_selector(READY)
        assert page.locator("#picked li").count() == 2
        first = listed(page)[0]
        why = page.locator("#lists").get_by_role("button", name="Why: ").first
        why.click()
        panel = page.locator("#columns .why:not([hidden])")
        panel.get_by_text("place 1 of all items").wait_for()
        wish = {"history": ["i00", "i04"], "item_id": first}
        told = page.request.post(f"{address}/explain", data=wish).json()
        text = panel.inner_text()
        for name, word in (("text", "words"), ("image", "picture"), ("rest", "neither")):
            value = told["shares"][name]
            sign = "\N{MINUS SIGN}" if value < 0 else "+"
            assert f"{word} {sign}{abs(value):.2f}" in text
        for one in told["clicks"]:
            assert f"without it place {one['rank_without']}" in text
        assert ("Nearest of the history" in text) is bool(told["nearest"])
        assert why.get_attribute("aria-expanded") == "true"
        why.click()
        assert page.locator("#columns .why:not([hidden])").count() == 0


def test_everything_can_be_done_by_keyboard(shop, tmp_path):
    with served(shop, tmp_path) as (address, _), browser() as window:
        page = window(1280).page
        page.goto(address)
        page.wait_for_selector(READY)
        page.get_by_label("Search").focus()
        page.keyboard.press("Tab")
        focused = "document.activeElement.dataset.item"
        shelf = [one.get_attribute("data-item") for one in page.locator("#grid button").all()]
        assert page.evaluate(focused) == shelf[0]
        for key, place in (("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("End", N - 1)):
            page.keyboard.press(key)
            assert page.evaluate(focused) == shelf[place]
        page.keyboard.press("Home")
        page.keyboard.press("ArrowDown")
        below = shelf.index(page.evaluate(focused))
        assert below > 1
        page.keyboard.press("ArrowUp")
        page.keyboard.press("Enter")
        settled(page)
        assert page.locator("#picked li").count() == 1
        out = page.locator("#picked button.out")
        assert out.get_attribute("aria-label").startswith("Take out: thing")
        out.focus()
        page.keyboard.press("Enter")
        expect(page.locator("#picked li")).to_have_count(0)
        # The focus is not lost with the button that had it.
        assert page.evaluate("document.activeElement.id") == "words"
        page.get_by_role("radio", name="Both").focus()
        page.keyboard.press("ArrowRight")
        assert page.get_by_role("radio", name="Words").is_checked()
        outlined = "getComputedStyle(document.activeElement.nextElementSibling).outlineStyle"
        assert page.evaluate(outlined) == "solid"


@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_shows_all_of_it(shop, tmp_path, dark):
    with served(shop, tmp_path, runs=shop / "runs") as (address, _), browser() as window:
        shown = window(390, height=844, dark=dark)
        page = shown.page
        page.goto(f"{address}/#item=i00&item=i04")
        page.wait_for_selector(READY)
        page.get_by_label("Beside it").select_option("ids")
        expect(page.locator("#columns .column")).to_have_count(2)
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        boxes = [one for one in page.evaluate(BOXES) if one[0] != "out"]
        assert len(boxes) > 30
        assert [one for one in boxes if not (one[1] >= 0 and one[2] <= 390)] == []
        page.get_by_role("button", name="Pick: thing").first.tap()
        expect(page.locator("#picked li")).to_have_count(3)
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == ("rgb(18, 22, 28)" if dark else "rgb(244, 245, 247)")
        assert shown.complaints == []


def test_a_new_product_is_tried_and_added(shop, tmp_path):
    (tmp_path / "cup.png").write_bytes(picture())
    with served(shop, tmp_path) as (address, service), browser() as window:
        page = window(1280).page
        page.goto(f"{address}/#item=i00&item=i04")
        page.wait_for_selector(READY)
        page.get_by_role("button", name="Try it").click()
        assert page.locator("#product-problem").inner_text() == "Give it a title or a picture."
        page.get_by_label("Title").fill("thing aaa <b>99</b>")
        page.locator("#file").set_input_files(tmp_path / "cup.png")
        page.get_by_role("button", name="Try it").click()
        page.locator("#tried").wait_for()
        assert page.locator("#similar li").count() == 10
        assert page.locator("#reach").inner_text().startswith("Of 40 people")
        assert page.locator("#reached > li").count() == 8
        assert "cup" not in service.live.rows
        page.get_by_label("Id in the catalogue").fill("cup & co/1")
        page.get_by_role("button", name="Add it").click()
        page.get_by_text("is in the catalogue").wait_for()
        page.get_by_label("Search").fill("99")
        card = page.get_by_role("button", name="Pick: thing aaa <b>99</b>")  # text, never markup
        card.click()
        settled(page)
        assert page.locator("#picked li").count() == 3
        page.locator("#file").set_input_files(tmp_path / "page.db")
        page.get_by_role("button", name="Try it").click()
        page.locator("#product-problem:not([hidden])").wait_for()
        assert "no picture that can be read" in page.locator("#product-problem").inner_text()


def test_a_users_history_is_taken_over_and_problems_are_told(shop, tmp_path):
    with served(shop, tmp_path, "ids") as (address, _), browser() as window:
        page = window(1280).page
        page.goto(address)
        page.wait_for_selector(READY)
        # A model of ids has no modalities to switch and takes no new items.
        assert page.locator("#modality").is_hidden()
        assert page.locator("#product").is_hidden()
        page.get_by_label("User").fill("u3")
        page.keyboard.press("Enter")
        expect(page.locator("#picked li")).to_have_count(6)
        assert page.locator("#user-told").inner_text() == "6 items of u3, the oldest first."
        settled(page)
        assert listed(page) == asked(page, address, user_id="u3")
        page.get_by_label("User").fill("nobody")
        page.keyboard.press("Enter")
        page.get_by_text("Nothing is known of 'nobody'.").wait_for()
        page.get_by_text("Limits").click()
        page.get_by_label("Only items where").fill("yaer > 2000")
        page.locator("#lists-problem:not([hidden])").wait_for()
        assert "year" in page.locator("#lists-problem").inner_text()
        page.get_by_label("Only items where").fill("year > 2000")
        expect(page.locator("#lists-problem")).to_be_hidden()
        assert all(int(name[1:]) > 10 for name in listed(page))


def test_a_service_with_keys_asks_for_one(shop, tmp_path):
    key, digest = new_key()
    entry = f'{{"ann": {{"role": "write", "sha256": "{digest}"}}}}'
    (tmp_path / "keys.json").write_text(entry, encoding="utf-8")
    given = {"keys": tmp_path / "keys.json"}
    with served(shop, tmp_path, **given) as (address, _), browser() as window:
        page = window(1280).page
        page.goto(f"{address}/#item=i00")
        page.get_by_text("This service asks for a key.").wait_for()
        page.locator("#key-given").fill(key)
        page.get_by_role("button", name="Use it").click()
        page.wait_for_selector(READY)
        # Pictures come with the key as well.
        expect(page.locator("#grid img").first).to_have_attribute("src", re.compile("^blob:"))
        assert page.evaluate("document.querySelector('#grid img').decode().then(() => true)")
        assert page.locator("#picked li").count() == 1
        assert page.request.get(f"{address}/items").status == 401


def test_the_document_can_be_tried_out_and_takes_nothing_from_elsewhere(shop, tmp_path):
    key, digest = new_key()
    entry = f'{{"ann": {{"role": "read", "sha256": "{digest}"}}}}'
    (tmp_path / "keys.json").write_text(entry, encoding="utf-8")
    with (
        served(shop, tmp_path, keys=tmp_path / "keys.json") as (address, _),
        browser() as window,
    ):
        shown = window(1280)
        page = shown.page
        page.goto(f"{address}/docs")
        page.get_by_role("button", name="Authorize").click()
        page.locator("input[type=text]").fill(key)
        page.locator("button[type=submit]", has_text="Authorize").click()
        page.get_by_role("button", name="Close").click()
        route = page.locator("#operations-browsing-run_run_get")
        route.get_by_role("button").first.click()
        route.get_by_role("button", name="Try it out").click()
        route.get_by_role("button", name="Execute").click()
        expect(
            route.locator(".live-responses-table td.response-col_status:not(.col_header)")
        ).to_contain_text("200")
        assert shown.complaints == []
        assert all(one.startswith(address) for one in shown.requests)


def test_the_page_leaks_no_file_and_lets_nobody_frame_it(start):
    client, _ = start()
    answer = client.get("/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert client.get("/page/main.js").status_code == 200
    for path in ("/page/", "/page/../app.py", "/page/%2e%2e/app.py", "/page//etc/passwd"):
        assert client.get(path).status_code == 404
