"""Uses the page with mouse and keyboard in headless Chromium, through its WebDriver, and compares
what it makes with the native programs' files. `test.py PAGE PROGRAMS SCREENSHOTS`: the page's
folder, the programs', how the screenshots' names begin."""

import base64
import http.server
import json
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import zlib

PAGE, PROGRAMS, SCREENSHOTS = sys.argv[1:]
SIDE, SCALE = 91, 8  # the digits' frame's pixels, and the picture's for one of them
TWENTY = pathlib.Path(__file__).parent / "../fashion/twenty.png"  # by another engine
# for twenty clothes; more on a machine on which the native program takes long, too
MOST_SECONDS, MOST_TIMES = 2, 3
KEYS = {"tab": "\ue004", "enter": "\ue007", "shift": "\ue008", "control": "\ue009", "space": " "}


class Server(http.server.SimpleHTTPRequestHandler):
    answers = []
    replaced = {}  # path: what to answer instead, or None for no such file

    def __init__(self, *args):
        super().__init__(*args, directory=PAGE)

    def do_GET(self):
        if self.path not in self.replaced:
            super().do_GET()
        elif self.replaced[self.path] is None:
            self.send_error(404)
        else:
            self.send_response(200)
            self.send_header("Content-Type", self.guess_type(self.path))
            self.end_headers()
            self.wfile.write(self.replaced[self.path])

    def end_headers(self):
        self.send_header("Cache-Control", "no-store")  # or what is replaced would not be asked for
        super().end_headers()

    def log_message(self, *_):
        pass

    def log_request(self, code="-", size="-"):
        self.answers.append((self.path, int(code)))


class Browser:
    """WebDriver's protocol, as much of it as a visitor needs."""

    def __init__(self, base):
        self.base = base
        options = {"args": ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage"]}
        capabilities = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "SEVERE"}}
        session = self.call("POST", "/session", capabilities={"alwaysMatch": capabilities})
        self.base += "/session/" + session["sessionId"]

    def call(self, method, path, **body):
        data = json.dumps(body).encode() if method == "POST" else None
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return json.load(response)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(json.load(error)["value"]["message"]) from error

    def js(self, code):
        return self.call("POST", "/execute/sync", script=code, args=[])

    def find(self, selector):
        return "/element/" + next(iter(self.call("POST", "/element", using="css selector", value=selector).values()))

    def role_and_name(self, selector):
        element = self.find(selector)
        return tuple(self.call("GET", element + what) for what in ("/computedrole", "/computedlabel"))

    def click(self, selector):
        self.call("POST", self.find(selector) + "/click")

    def press(self, *keys):
        """Presses keys one after another; "control+a" holds the first."""
        actions = []
        for key in keys:
            chord = [KEYS.get(part, part) for part in key.split("+")]
            actions += [{"type": "keyDown", "value": part} for part in chord]
            actions += [{"type": "keyUp", "value": part} for part in reversed(chord)]
        self.call("POST", "/actions", actions=[{"type": "key", "id": "keyboard", "actions": actions}])

    def devtools(self, command, **params):
        return self.call("POST", "/goog/cdp/execute", cmd=command, params=params)

    def media(self, **features):
        features = [{"name": "prefers-" + name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.devtools("Emulation.setEmulatedMedia", features=features)

    def size(self, width, height, scale):
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=False)

    def screenshot(self, name):
        pathlib.Path(f"{SCREENSHOTS}{name}.png").write_bytes(base64.b64decode(self.call("GET", "/screenshot")))

    # What the page shows.

    def status(self):
        return self.js("return document.getElementById('status').textContent")

    def step(self):
        return self.js("return document.getElementById('progress').value")

    def focused(self):
        return self.js("return document.activeElement.name || document.activeElement.id || document.activeElement.localName")

    def frame(self):
        """The canvas, a pixel as four bytes."""
        canvas = "const canvas = document.querySelector('canvas'); "
        pixels = "canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data"
        return bytes(self.js(f"{canvas} return [...{pixels}]"))


def check(condition, *what):
    if not condition:
        sys.exit(" ".join(map(str, ("failed:",) + what)))


def wait(what, condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        check(time.monotonic() < end, what, "did not happen")
        time.sleep(0.02)


def native(folder, sampler, *numbers):
    path = folder / "native.png"
    subprocess.run([PROGRAMS + "/digits", "--sampler", sampler, path, *numbers], check=True, capture_output=True)
    return path.read_bytes()


def native_clothes(folder, *args):
    path = folder / "native.png"
    subprocess.run([PROGRAMS + "/clothes", path, *args], check=True, capture_output=True)
    return path.read_bytes()


def rows_of(png):
    """The rows of gray pixels of a file as the programs write it: with one IDAT chunk, and no
    filters."""
    at = png.index(b"IDAT")
    rows = zlib.decompress(png[at + 4:at + 4 + int.from_bytes(png[at - 4:at], "big")])
    width, height = (int.from_bytes(png[at:at + 4], "big") for at in (16, 20))
    check(len(rows) == (1 + width) * height, "a picture has another size")
    return [rows[y * (1 + width) + 1:(y + 1) * (1 + width)] for y in range(height)]


def frame_of(png):
    """What the canvas must show of the native program's picture."""
    rows = rows_of(png)
    check(len(rows) == len(rows[0]) == SIDE * SCALE, "the native program's picture has another size")
    return b"".join(bytes((gray, gray, gray, 255)) for row in rows[::SCALE] for gray in row[::SCALE])


def clothes_frame_of(png):
    """The same of twenty clothes, which the file has in rows of two, and the canvas in rows of
    four."""
    rows, tile = rows_of(png), 8 + 28 * 3
    check((len(rows), len(rows[0])) == (10 * tile + 8, 2 * tile + 8), "the clothes' picture has another size")
    frame = [[64] * (4 * 29 + 1) for _ in range(5 * 29 + 1)]
    for i in range(20):
        for y in range(28):
            row, left = rows[i // 2 * tile + 8 + 3 * y], i % 2 * tile + 8
            x = i % 4 * 29 + 1
            frame[i // 4 * 29 + 1 + y][x:x + 28] = row[left:left + 28 * 3:3]
    return b"".join(bytes((gray, gray, gray, 255)) for row in frame for gray in row)


def check_result(browser, folder, name, expected, save, frame_of=frame_of):
    """The job ends; canvas and saved file are the native program's. `save` follows the link."""
    wait("the end", lambda: browser.status().startswith("Done"))
    check(browser.frame() == frame_of(expected), name, "the canvas differs from the native program's picture")
    save()
    wait("saving", lambda: (folder / name).exists())
    check((folder / name).read_bytes() == expected, name, "differs from the native program's file")
    print(f"{name} has the native program's bytes.", browser.status())


def check_names(browser):
    expected = {
        "main": ("main", ""), "h1": ("heading", "Digits from noise"),
        "canvas": ("image", "Empty places for a hundred digits"),
        "[name=kind]": ("combobox", "Pictures"), "[name=seed]": ("textbox", "Seed"),
        "[name=class]": ("combobox", "Class"), "[name=sampler]": ("combobox", "Sampler"),
        "[name=evaluations]": ("spinbutton", "Network calls"),
        "button": ("button", "Start"), "progress": ("progressbar", "Progress"), "#status": ("status", ""),
        "section": ("region", "Sampling"),
    }
    for selector, role_and_name in expected.items():
        found = browser.role_and_name(selector)
        check(found == role_and_name, selector, "has role and name", found)
    check(browser.js("return document.documentElement.lang") == "en", "the page has no language")
    print("roles and names:", len(expected))


def watch(browser):
    """From now on `longest` is how long the page stood still, in milliseconds."""
    browser.js("""window.longest = 0;
        new PerformanceObserver((list) => { for (const task of list.getEntries()) longest = Math.max(longest, task.duration); })
            .observe({ type: "longtask" });""")


def check_mouse(browser, folder):
    watch(browser)
    browser.click("button")
    wait("the end", lambda: browser.status().startswith("Done"))
    check_result(browser, folder, "digits-2m-sde-42-20.png", native(folder, "2m-sde"), lambda: browser.click("#save"))
    name = "A hundred handwritten digits of the classes 0 to 9, one a row"
    check(browser.role_and_name("canvas") == ("image", name), "the canvas' name")
    longest = browser.js("return longest")
    check(longest < 500, "the page stood still for", longest, "ms")


def check_stop(browser):
    """Starts, types while it samples, and stops, by keyboard."""
    browser.click("[name=evaluations]")
    browser.press("control+a", *"1000", "enter")
    check(browser.role_and_name("button") == ("button", "Stop"), "the button does not say Stop")
    wait("the third step", lambda: browser.step() > 2)
    frame, started = browser.frame(), time.monotonic()
    browser.press("shift+tab", "shift+tab", "shift+tab", "control+a", *"123")
    check(browser.js("return document.forms[0].elements.seed.value") == "123", "what was typed is not in the field")
    answered = time.monotonic() - started
    browser.press("tab", "tab", "tab", "tab")
    check(browser.focused() == "button", "the focus is on", browser.focused())
    wait("another frame", lambda: browser.frame() != frame)
    browser.press("space")
    check(browser.status().startswith("Stopped at step "), "the status is", browser.status())
    step = browser.step()
    time.sleep(0.3)
    check(0 < step == browser.step() < 1000, "it did not stop")
    check(browser.focused() == "button" and browser.role_and_name("button") == ("button", "Start"), "the button is lost")
    print(f"typed while it sampled (answered within {1000 * answered:.0f} ms); {browser.status()}")


def check_keyboard(browser, folder):
    """The largest seed, another class, sampler and number of calls, and the link; with nothing but
    keys."""
    browser.js("document.activeElement.blur(); getSelection().removeAllRanges(); scrollTo(0, 0)")
    browser.click("h1")
    browser.press("tab", "tab")
    check(browser.focused() == "seed", "the focus is on", browser.focused())
    browser.press("control+a", *str(2**64), "enter")
    check(browser.status().startswith("Stopped"), "it sampled from a seed of more than 64 bits")
    browser.press("control+a", *str(2**64 - 1), "tab", "3", "tab", "p", "tab")
    calls = "document.forms[0].elements.evaluations.value"
    check(browser.js("return " + calls) == "400", "the predictor-corrector sampler is to have 400 calls")
    browser.press("control+a", *"74", "tab", "enter")
    expected = native(folder, "pc", str(2**64 - 1), "74", "3")
    check_result(browser, folder, f"digits-pc-{2**64 - 1}-74-3.png", expected, lambda: browser.press("tab", "enter"))
    check(browser.step() == 37, "steps of two calls were shown as", browser.step())


def check_clothes(browser, folder, address):
    """Chooses them by keyboard; all classes, and then one of them by another sampler."""
    browser.call("POST", "/url", url=address)
    wait("loading", lambda: browser.status() == "Ready.")
    started = time.monotonic()
    expected = native_clothes(folder)
    seconds_of_native = time.monotonic() - started
    browser.click("h1")
    browser.press("tab", "c")
    wait("loading", lambda: browser.status() == "Ready.")
    check(browser.role_and_name("h1") == ("heading", "Clothes from noise"), "the heading")
    check(browser.role_and_name("canvas") == ("image", "Empty places for twenty clothes"), "the canvas' name")
    watch(browser)
    browser.click("button")
    wait("the third step", lambda: browser.step() > 2)
    noise = browser.frame()
    frame = clothes_frame_of(expected)
    save = lambda: browser.click("#save")
    check_result(browser, folder, "clothes-2m-sde-42-10.png", expected, save, clothes_frame_of)
    seconds = float(browser.status().split()[2]) / 1000
    check(browser.step() == 10 and noise != frame, "it did not show its steps")
    check(seconds < max(MOST_SECONDS, MOST_TIMES * seconds_of_native), "twenty clothes took", seconds, "s")
    print(f"clothes: twenty in {seconds:.1f} s, natively in {seconds_of_native:.1f} s")
    longest = browser.js("return longest")
    check(longest < 500, "the page stood still for", longest, "ms")
    name = "Twenty clothes of ten classes, two of each"
    check(browser.role_and_name("canvas") == ("image", name), "the canvas' name")
    other = b"".join(rows_of(TWENTY.read_bytes()))
    apart = [abs(a - b) for a, b in zip(b"".join(rows_of(expected)), other, strict=True)]
    check(max(apart) <= 2, "the clothes are up to", max(apart), "gray levels from another engine's")
    print(f"{sum(map(bool, apart))} of {len(apart)} pixels differ from twenty.png, by at most {max(apart)} of 255")
    browser.screenshot("-clothes")
    browser.size(390, 844, 3)
    browser.screenshot("-clothes-phone")
    browser.size(1280, 800, 1)

    browser.click("[name=evaluations]")
    browser.press("shift+tab", "p", "shift+tab", "a", "tab", "tab", "control+a", "6", "enter")
    expected = native_clothes(folder, "pc", "42", "6", "9")
    check_result(browser, folder, "clothes-pc-42-6-ankle-boot.png", expected, save, clothes_frame_of)
    check(browser.step() == 3, "three steps of two calls were shown as", browser.step())

    source = (pathlib.Path(PAGE) / "clothes.js").read_text()
    for cores in ("4", "undefined"):  # more workers than pictures divide by, or one
        changed = source.replace("navigator.hardwareConcurrency", cores)
        check(changed != source, "clothes.js asks for no number of cores")
        Server.replaced["/clothes.js"] = changed.encode()
        browser.click("button")
        wait("the end", lambda: browser.status().startswith(("Done", "Failed")))
        check(browser.frame() == clothes_frame_of(expected), cores, "cores:", browser.status())
    del Server.replaced["/clothes.js"]

    browser.click("button")  # and, while it samples, back
    browser.click("h1")
    browser.press("tab", "d")
    wait("loading", lambda: browser.status() == "Ready.")
    check(browser.role_and_name("canvas") == ("image", "Empty places for a hundred digits"), "the canvas' name")
    check(browser.step() == 0 and len(browser.frame()) == 4 * SIDE * SIDE, "the clothes went on")


def check_reduced_motion(browser):
    browser.media(reduced_motion="reduce")
    before = browser.frame()
    browser.click("[name=evaluations]")
    browser.press("control+a", *"600", "enter")
    wait("the third step", lambda: browser.step() > 2)
    frame = browser.frame()
    check(browser.step() < 300, "it was over before it was looked at")
    check(frame == before, "the canvas moves")
    wait("the end", lambda: browser.status().startswith("Done"))
    check(browser.frame() != before, "the result is not shown")
    print("reduced motion: the canvas kept still")


def check_looks(browser):
    """Screenshots for the eye; at no width does the page scroll sideways."""
    for name, scheme, *size in (("", "light", 1280, 800, 1), ("-phone", "dark", 390, 844, 3), ("-narrow", "light", 320, 640, 2)):
        browser.media(color_scheme=scheme)
        browser.size(*size)
        check(browser.js("return document.documentElement.scrollWidth <= innerWidth"), size, "the page is too wide")
        browser.screenshot(name)


def check_failures(browser, address):
    Server.replaced["/weights.safetensors"] = None
    browser.call("POST", "/url", url=address)
    wait("the failure", lambda: browser.status() == "Failed: weights.safetensors: 404 Not Found")
    check(browser.js("return document.querySelector('button').disabled"), "it can be started without weights")
    Server.replaced["/weights.safetensors"] = b"no network"
    browser.call("POST", "/url", url=address)
    wait("loading", lambda: browser.status() == "Ready.")
    browser.click("button")
    wait("the failure", lambda: browser.status() == "Failed: weights.safetensors is not the digits network")
    check(browser.role_and_name("button") == ("button", "Start"), "it does not end")
    print("without weights, and with wrong ones, it says so")


def start_driver():
    """The driver, and where it listens. It ends if a port that IPv4 has free is taken in IPv6."""
    for _ in range(5):
        driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE)
        for line in driver.stdout:
            if b"started successfully on port" in line:
                return driver, "http://127.0.0.1:" + line.decode().split()[-1].rstrip(".")
        driver.wait()
    sys.exit("failed: chromedriver does not start")


def main(base, folder):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/"
    browser = Browser(base)
    browser.devtools("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    browser.size(1280, 800, 1)
    browser.call("POST", "/url", url=address)
    wait("loading", lambda: browser.status() == "Ready.")
    check_names(browser)
    check_mouse(browser, folder)
    check_looks(browser)
    check_stop(browser)
    check_keyboard(browser, folder)
    check_reduced_motion(browser)
    browser.media(reduced_motion="no-preference", color_scheme="light")
    browser.size(1280, 800, 1)
    check_clothes(browser, folder, address)
    log = browser.call("POST", "/se/log", type="browser")
    check(not log, "the console says", log)
    names = browser.js("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    check(len(names) > 3 and all(name.startswith((address, "blob:")) for name in names), "the page loads", names)
    check(all(code in (200, 304) for _, code in Server.answers), "the server answered", Server.answers)
    check_failures(browser, address)
    browser.call("DELETE", "")


driver, base = start_driver()
with tempfile.TemporaryDirectory() as folder, driver:
    try:
        main(base, pathlib.Path(folder))
    finally:
        driver.terminate()
