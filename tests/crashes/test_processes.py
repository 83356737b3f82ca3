"""The processes of the marketplace survive each other, and say what is missing."""

import json
import time
import urllib.error
import urllib.request

PATIENCE_SECONDS = 30


def readiness(marketplace):
    try:
        with urllib.request.urlopen(f"{marketplace.address}/readyz", timeout=10) as answer:
            return answer.status, json.load(answer)["parts"]
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)["parts"]


def until(marketplace, status):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        code, parts = readiness(marketplace)
        if code == status:
            return parts
        time.sleep(0.2)
    raise AssertionError(f"still {code}: {parts}\n{marketplace.log('web')}\n{marketplace.log('worker')}")


def test_ready_once_web_and_worker_run_and_again_after_a_power_cut(marketplace):
    marketplace.start("web")
    assert {part for part, state in until(marketplace, 503).items() if state != "ok"} == {"worker"}

    marketplace.start("worker")
    until(marketplace, 200)

    marketplace.kill()
    marketplace.start("web", "worker")
    until(marketplace, 200)
