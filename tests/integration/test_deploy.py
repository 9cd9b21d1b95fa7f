"""The files for containers and Kubernetes are YAML, and what they name is there: settings, commands, probes, ports, files."""

import yaml

from harness import *

DEPLOY = ROOT / "scripts/deploy"


class Deploy(Case):
    def documents(self, path):
        return [d for d in yaml.safe_load_all((DEPLOY / path).read_text()) if d is not None]

    def of_kind(self, kind):
        return next(d for d in self.documents("kubernetes/freshet.yaml") if d["kind"] == kind)

    def check_config(self, text, folder, environment=None):
        path = folder / "freshet.conf"
        path.write_text(text)
        ran = subprocess.run([BINARY, "config", "-c", path], capture_output=True, text=True, timeout=30,
                             env={**os.environ, **(environment or {})})
        self.assertEqual(ran.returncode, 0, ran.stderr)
        return {m[1]: m[2] for m in re.finditer(r"^(\S+) = (\S+) ", ran.stdout, re.M)}

    def test_kubernetes(self):
        app = App(self)
        service = app.service().start_ready()
        settings = self.check_config(self.of_kind("ConfigMap")["data"]["freshet.conf"], app.folder)
        stateful = self.of_kind("StatefulSet")
        pod = stateful["spec"]["template"]["spec"]
        container = pod["containers"][0]
        self.assertGreater(pod["terminationGracePeriodSeconds"], int(settings["stop_timeout_s"]))
        self.assertEqual(container["args"][0], "run")
        ports = {p["name"]: p["containerPort"] for p in container["ports"]}
        self.assertEqual(ports["http"], int(settings["port"]))
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            asked = container[probe]["httpGet"]
            self.assertIn(asked["port"], ports)
            self.assertEqual(service.get(asked["path"])[0], 200, f"{probe} asks for what is there")
        labels = stateful["spec"]["template"]["metadata"]["labels"]
        self.assertEqual(stateful["spec"]["selector"]["matchLabels"], labels)
        headless = self.of_kind("Service")
        self.assertEqual(headless["spec"]["selector"], labels)
        self.assertEqual(stateful["spec"]["serviceName"], headless["metadata"]["name"])
        self.assertIn(headless["spec"]["ports"][0]["targetPort"], ports)
        self.assertEqual(self.of_kind("PodDisruptionBudget")["spec"]["selector"]["matchLabels"], labels)
        volumes = {v["name"] for v in pod["volumes"]} | {c["metadata"]["name"] for c in stateful["spec"]["volumeClaimTemplates"]}
        for each in pod["initContainers"] + pod["containers"]:
            mounts = {m["name"]: m["mountPath"] for m in each["volumeMounts"]}
            self.assertLessEqual(set(mounts), volumes)
            self.assertTrue(each["args"][-1].startswith(mounts["configuration"]))
            ran = subprocess.run([BINARY, "help", each["args"][0]], capture_output=True, timeout=30)
            self.assertEqual(ran.returncode, 0, each["args"])
        mounted = {m["mountPath"] for m in container["volumeMounts"]}
        self.assertIn(str(Path(settings["folder"]).parent), mounted, "the state is on its volume")
        self.assertIn(str(Path(settings["token_file"]).parent), mounted)
        named = {e["name"]: "x" for e in container["env"] if e["name"].startswith("FRESHET_")}
        self.check_config("", app.folder, {**named, "FRESHET_HTTP_ADVERTISE": "http://pod.freshet:8080"})

    def test_compose(self):
        compose = self.documents("docker/compose.yaml")[0]["services"]
        self.assertEqual(set(compose), {"kafka", "topics", "freshet", "prometheus", "grafana"})
        for name, service in compose.items():
            self.assertRegex(service["image"], r"^freshet$|:[v0-9.]+$", f"{name} has a pinned version")
            for port in service.get("ports", []):
                self.assertTrue(port.startswith("127.0.0.1:"), f"{name}: {port} is open to others")
            for volume in service.get("volumes", []):
                if volume.startswith("."):
                    self.assertTrue((DEPLOY / "docker" / volume.split(":")[0]).is_file(), volume)
        prometheus = self.documents("monitoring/prometheus.yml")[0]
        target = prometheus["scrape_configs"][0]["static_configs"][0]["targets"][0]
        self.assertEqual(target, "freshet:" + compose["freshet"]["ports"][0].split(":")[-1])
        app = App(self, create=False)
        settings = self.check_config("", app.folder, compose["freshet"]["environment"])
        self.assertEqual(settings["bootstrap.servers"], "kafka:29092")
        self.assertIn("kafka:29092", compose["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"])
        source = self.documents("docker/grafana-sources.yaml")[0]["datasources"][0]
        self.assertEqual(source["url"], "http://prometheus:9090")
        self.documents("docker/grafana-dashboards.yaml")

    def test_dockerfile(self):
        lines = (DEPLOY / "docker/Dockerfile").read_text().splitlines()
        self.assertIn('CMD ["run", "-c", "/etc/freshet/freshet.conf"]', lines)
        app = App(self, create=False)
        self.check_config("", app.folder, dict(l[4:].split("=", 1) for l in lines if l.startswith("ENV ")))
        self.assertTrue(any(l.startswith("USER freshet") for l in lines), "it does not run as root")


if __name__ == "__main__":
    main()
