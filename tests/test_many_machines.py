"""What docs/many-machines.md gives to Slurm and Kubernetes starts what it says."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from regraft.cli.app import app

PAGE = (Path(__file__).parent.parent / "docs" / "many-machines.md").read_text("utf-8")
STANDINS = {  # for commands of a cluster
    "scontrol": 'test "$*" = "show hostnames a[1-2]" && printf "a1\\na2\\n"',
    "srun": 'for SLURM_NODEID in 0 1; do export SLURM_NODEID; "$@"; done',
    "torchrun": 'printf "%s " "$@"; printf "%s\\n" "on $OMP_NUM_THREADS cores"',
}


def block(language: str, word: str) -> str:
    """The block of the page in which a word is."""
    found = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    [one] = [text for text in found if word in text]
    return str(one)


def check_fit(words: str) -> None:
    """Check that a command of regraft's has only options that there are."""
    [*_, verb, data, out, place] = shlex.split(words.removesuffix(" --overwrite"))
    assert (verb, data, out) == ("fit", "s3://bucket/shards/{000..099}.tar", "--out")
    assert place.endswith("photos")
    said = CliRunner().invoke(app, [verb, data, out, place, "--overwrite", "--no-such"])
    assert "--no-such" in said.output


@pytest.mark.skipif(sys.platform == "win32", reason="a script for bash")
def test_the_script_for_slurm_starts_a_process_a_machine(tmp_path: Path) -> None:
    for name, body in STANDINS.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n", "utf-8")
        (tmp_path / name).chmod(0o755)
    environment = {
        "HOME": str(tmp_path), "SLURM_JOB_NAME": "regraft", "SLURM_NNODES": "2",
        "SLURM_JOB_NODELIST": "a[1-2]", "SLURM_CPUS_PER_TASK": "32",
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
    }  # fmt: skip
    script = ["bash", "-c", block("bash", "#SBATCH")]
    done = subprocess.run(script, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    meeting = "--nproc-per-node 1 --master-addr a1 --master-port 29500 -m regraft "
    for rank, line in enumerate(lines):
        start, _, end = line.partition(meeting)
        assert start == f"--nnodes 2 --node-rank {rank} "
        words, _, cores = end.partition(" on ")
        assert cores == "32 cores"
        check_fit(words)
    assert len(lines) == 2


def test_the_manifest_for_kubernetes_holds_together() -> None:
    yaml = pytest.importorskip("yaml")
    service, job = yaml.safe_load_all(block("yaml", "kind: Job"))
    assert [one["apiVersion"] for one in (service, job)] == ["v1", "batch/v1"]
    spec = job["spec"]
    assert spec["completionMode"] == "Indexed"
    assert spec["completions"] == spec["parallelism"]
    pod = spec["template"]["spec"]
    [container] = pod["containers"]
    [words] = container["args"]
    # a pod is called JOB-INDEX, and found by the service that is its subdomain
    address = f"{job['metadata']['name']}-0.{pod['subdomain']}"
    [port] = [one["port"] for one in service["spec"]["ports"]]
    assert service["spec"]["selector"] == {"job-name": job["metadata"]["name"]}
    assert service["spec"]["clusterIP"] == "None"
    assert service["metadata"]["name"] == pod["subdomain"]
    assert f"--master-addr {address} --master-port {port} " in words
    assert f'--nnodes {spec["completions"]} --node-rank "$JOB_COMPLETION_INDEX" ' in words
    mounted = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
    assert {one["name"] for one in pod["volumes"]} == set(mounted)
    values = {one["name"]: one["value"] for one in container["env"]}
    assert values["REGRAFT_CACHE"] == mounted["cache"]
    assert values["OMP_NUM_THREADS"] == container["resources"]["requests"]["cpu"]
    assert f"--out {mounted['runs']}/" in words
    check_fit(words.strip())
