"""Under a service manager: what it hears on NOTIFY_SOCKET at the start, while a state is restored, on SIGHUP and at the
end; that the signs of life stop when the loop does; that a stop ends with 0 while the brokers are away.
"""

import ctypes
import shutil
import signal
import socket
import time
from unittest import mock

from harness import *

WATCHDOG_S = 2


class Manager:
    """Hears what a service tells, as systemd would."""

    def __init__(self, test, folder):
        self.path = folder / "notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.socket.settimeout(0.05)
        test.addCleanup(self.socket.close)
        self.messages = []  # (monotonic time, {name: value})
        environment = {"NOTIFY_SOCKET": str(self.path), "WATCHDOG_USEC": str(WATCHDOG_S * 1000000)}
        patch = mock.patch.dict(os.environ, environment)
        patch.start()
        test.addCleanup(patch.stop)

    def listen(self):
        try:
            while True:
                lines = self.socket.recv(4096).decode().splitlines()
                self.messages.append((time.monotonic(), dict(line.split("=", 1) for line in lines)))
        except TimeoutError:
            return self.messages

    def now(self):
        """A time after everything that has been told so far."""
        self.listen()
        return time.monotonic()

    def said(self, name, value=None, since=0):
        return [m for t, m in self.listen() if t >= since and name in m and (value is None or value in m[name])]

    def until(self, name, value=None, since=0, within_s=PATIENCE_S):
        return until(lambda: self.said(name, value, since), f"{name}={value or '...'} is told", within_s)[-1]


class Frozen:
    """Holds the first thread of a child process while the others run, as a debugger does."""

    ATTACH, DETACH, WALL = 16, 17, 0x40000000

    def __init__(self, pid):
        self.pid = pid

    def request(self, number):
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.ptrace(number, self.pid, None, None) != 0:
            raise unittest.SkipTest(f"ptrace is not allowed here: {os.strerror(ctypes.get_errno())}")

    def __enter__(self):
        self.request(self.ATTACH)
        os.waitpid(self.pid, self.WALL)

    def __exit__(self, *_):
        self.request(self.DETACH)


class Systemd(Case):
    def app_with_manager(self, settings=None, **more):
        app = App(self, settings, **more)
        return app, Manager(self, app.folder)

    def test_it_tells_when_it_is_ready_and_reloads(self):
        settings = {"http.requests_per_s": 50}
        app, manager = self.app_with_manager(settings)
        app.announce(3)
        service = app.service().start()
        ready = manager.until("READY", "1")
        self.assertIn("serving", ready["STATUS"])
        self.assertEqual(service.get("/readyz")[0], 200, "READY=1 is told when it is ready")
        manager.until("WATCHDOG", "1")
        self.assertRegex(service.log(), r'service.starting version=\S+ app=\S+ .*memory_usual_mb=\d+.*kafka.bootstrap.servers=')
        self.assertIn("model.dim=16", service.log())
        self.assertNotIn("ranking.max_delay_ms=", service.log(), "defaults are not listed")

        began = manager.now()
        app.write_config({**settings, "http.requests_per_s": 60, "kafka.linger.ms": 3, "rules.hide": "nothing"})
        service.process.send_signal(signal.SIGHUP)
        reloading = manager.until("RELOADING", "1", since=began)
        self.assertAlmostEqual(int(reloading["MONOTONIC_USEC"]) / 1e6, began, delta=10)
        manager.until("READY", "1", since=began)
        line = next(l for l in service.log().splitlines() if "settings.need_restart" in l)
        self.assertIn("http.requests_per_s", line)
        self.assertIn("kafka.linger.ms", line)
        self.assertNotIn("rules.", line, "rules need no restart")

        app.write_config({"http.port": "none"})
        began = manager.now()
        service.process.send_signal(signal.SIGHUP)
        self.assertIn("mistake", manager.until("READY", "1", since=began)["STATUS"])

        self.assertEqual(service.stop(), EXIT_OK)
        stopping = manager.until("STOPPING", "1")
        self.assertGreater(int(stopping["EXTEND_TIMEOUT_USEC"]), 30_000_000)

    def test_it_tells_how_far_a_restore_is(self):
        # Small batches, of which each fetch brings one, so that the restore takes some tenths of a second.
        small = {"kafka.batch.size": 8000, "kafka.fetch.message.max.bytes": 8000}
        app, manager = self.app_with_manager({"topics.partitions": 1, **small})
        items = app.announce(4)
        for n in range(20000):
            app.send("events", f"user-{n}", click(f"user-{n}", items[n % 4]))
        service = app.service().start()
        manager.until("READY", "1")
        app.settle(180)  # many small requests
        self.assertEqual(service.stop(), EXIT_OK)
        shutil.rmtree(service.state)
        began, logged = manager.now(), len(service.log())
        service.start()
        until(lambda: "partition.restoring" in service.log()[logged:], "a restore begins")
        with Frozen(service.process.pid):  # long enough to be heard, however fast this machine is
            manager.until("STATUS", "restoring", since=began)
        manager.until("READY", "1", since=began)
        told = [m["STATUS"] for m in manager.said("STATUS", since=began)]
        self.assertTrue(manager.said("EXTEND_TIMEOUT_USEC", since=began), "more time is asked for")
        self.assertTrue(any(re.fullmatch(r"restoring partition 0: \d+ %", s) for s in told), told)
        self.assertEqual(service.stop(), EXIT_OK)

    def test_signs_of_life_stop_with_the_loop(self):
        app, manager = self.app_with_manager()
        app.announce(1)
        service = app.service().start()
        manager.until("READY", "1")
        began = manager.now()
        time.sleep(2 * WATCHDOG_S)
        self.assertGreaterEqual(len(manager.said("WATCHDOG", since=began)), 2, "an idle loop turns")
        # The loop's thread alone is stopped, the first one: the watching thread goes on.
        with Frozen(service.process.pid):
            time.sleep(WATCHDOG_S)
            began = manager.now()
            time.sleep(2 * WATCHDOG_S)
            self.assertEqual(manager.said("WATCHDOG", since=began), [], "no sign of life from a loop that does not turn")
        self.assertEqual(service.stop(), EXIT_OK)

    def test_a_stop_succeeds_while_the_brokers_are_away(self):
        broker = Broker(self)
        broker.start()
        app, manager = self.app_with_manager({"app.stop_timeout_s": 8}, bootstrap=broker.bootstrap)
        items = app.announce(3)
        service = app.service().start()
        manager.until("READY", "1")
        app.send("events", "u", click("u", items[0]))
        app.flush()
        service.await_metric('freshet_events_total{type="click"}', 1)
        broker.stop()
        time.sleep(2)
        began = time.monotonic()
        self.assertEqual(service.stop(within_s=30), EXIT_OK, service.last_line())
        self.assertLess(time.monotonic() - began, 8 + 8)
        self.assertIn("service.stopped", service.last_line())

        began = manager.now()
        service.start()
        self.assertTrue(manager.until("STATUS", "waiting for the brokers", since=began))
        manager.until("EXTEND_TIMEOUT_USEC", since=began)
        began = time.monotonic()
        self.assertEqual(service.stop(within_s=30), EXIT_OK, service.last_line())
        self.assertLess(time.monotonic() - began, 8 + 8)


if __name__ == "__main__":
    main()
