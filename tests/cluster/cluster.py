"""A real SLURM cluster on one machine, in one folder: munge, slurmctld, several slurmd, and accounting on request.

Real: every daemon and command, scheduling, time limits, requeues, accounting in MariaDB. Not real: the GPUs are device
files without a GPU behind them (so CUDA_VISIBLE_DEVICES is set, and disjoint), all nodes are this machine, and memory
is looked at every two seconds instead of confined, since that takes cgroups. Nothing below /etc or /var is read or
written. Needs root.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

CLIENTS = ("sbatch", "srun", "squeue", "sacct", "scontrol", "sinfo", "scancel", "sacctmgr", "sstat", "sdiag")
PROGRAMS = ("munged", "slurmctld", "slurmd", "slurmdbd", "mariadbd", "mysql_install_db", *CLIENTS)
GPUS = 8
GPU_MODEL = "a100"
CPUS = 64
MEMORY_MB = 512_000

SLURM_CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[slurmctld]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# cred_expire is also how long a requeued job waits before it may start again (120 s without it).
AuthInfo=socket={folder}/run/munge.sock,cred_expire=10
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd-%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd-%n.log
SlurmctldDebug=verbose
SlurmdDebug=verbose
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=5,bf_interval=5
GresTypes=gpu
{accounting}
MinJobAge=300
ReturnToService=2
SlurmdTimeout=20
SlurmctldTimeout=60
MessageTimeout=5
KillWait={kill_wait}
JobRequeue=1
SlurmdParameters=config_overrides
MaxArraySize=1001
PropagateResourceLimits=NONE
NodeName=DEFAULT CPUs={cpus} RealMemory={memory} Gres=gpu:{model}:{gpus} Feature={model} State=UNKNOWN
{nodes}
PartitionName=cpu Nodes=ALL Default=YES MaxTime=2-00:00:00 DefaultTime=60 State=UP
PartitionName=gpu Nodes=ALL MaxTime=2-00:00:00 DefaultTime=60 State=UP
"""
NO_ACCOUNTING = "AccountingStorageType=accounting_storage/none\nJobAcctGatherType=jobacct_gather/none"
# AccountingStorageTRES with GPUs is a fatal error without slurmdbd.
ACCOUNTING = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={ports[slurmdbd]}
AccountingStoragePass={folder}/run/munge.sock
AccountingStoreFlags=job_comment
AccountingStorageTRES=gres/gpu,gres/gpu:{model}
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=2
# Without cgroups memory is confined by looking at it every two seconds.
JobAcctGatherParams=OverMemoryKill"""
SLURMDBD_CONF = """\
AuthType=auth/munge
AuthInfo=socket={folder}/run/munge.sock
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={ports[slurmdbd]}
SlurmUser=root
LogFile={folder}/log/slurmdbd.log
PidFile={folder}/run/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct
"""


def missing_programs() -> list[str]:
    """Return what a cluster needs and this machine lacks."""
    return [program for program in PROGRAMS if shutil.which(program) is None]


def wait_for(what: str, is_true: Callable[[], bool], seconds: float = 30, every: float = 0.1) -> None:
    """Wait until something is true.

    Raises:
        TimeoutError: it has not become true in time.
    """
    end = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:.0f} s in vain: {what}")
        time.sleep(every)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@dataclass
class Cluster:
    """The daemons of one cluster and the commands to use it.

    Attributes:
        folder: where all that the cluster writes lies; other users must be able to enter it, MariaDB's above all.
        nodes: how many slurmd there are: node1, node2, ...
        accounting: whether slurmdbd keeps records of jobs.
        kill_wait: seconds between SIGTERM and SIGKILL of a job that is cancelled or out of time.
    """

    folder: Path
    nodes: int = 2
    accounting: bool = True
    kill_wait: int = 20
    ports: dict[str, int] = field(default_factory=dict)

    @property
    def node_names(self) -> list[str]:
        return [f"node{number}" for number in range(1, self.nodes + 1)]

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which SLURM's commands mean this cluster.

        The executor's job step removes SLURM_CONF, so that shims which set it stand first on PATH instead.
        """
        return os.environ | {"PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}"}

    def start(self) -> None:
        """Start every daemon, and wait until all nodes are idle."""
        names = ["slurmctld", "slurmdbd", *self.node_names]
        self.ports = dict(zip(names, _free_ports(len(names)), strict=True))
        self._write_settings()
        self.start_daemon("munged")
        if self.accounting:
            self.start_daemon("mariadbd")
            self.start_daemon("slurmdbd")
        for name in ("slurmctld", *self.node_names):
            self.start_daemon(name)
        wait_for("all nodes are idle", self._all_idle)

    def _all_idle(self) -> bool:
        return self.run("sinfo", "-h", "-N", "-p", "cpu", "-o", "%T").split() == ["idle"] * self.nodes

    def stop(self) -> None:
        """Cancel what runs and stop every daemon."""
        self._client("scancel", "--user=root", check=False)
        for name in (*self.node_names, "slurmctld", "slurmdbd", "mariadbd", "munged"):
            self.kill_daemon(name)

    def run(self, *command: str) -> str:
        """Return what one of SLURM's commands prints."""
        return self._client(*command).stdout.strip()

    def refused(self, *command: str) -> str:
        """Return what one of SLURM's commands says when it fails."""
        done = self._client(*command, check=False)
        assert done.returncode, done.stdout
        return done.stderr

    def _client(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False, timeout=120)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
        return done

    def _write_settings(self) -> None:
        for name in ("bin", "etc", "run", "log", "state", "dev"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
            (self.folder / name).chmod(0o755)
        (self.folder / "run").chmod(0o1777)  # MariaDB runs as another user
        key = self.folder / "etc" / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        for client in CLIENTS:
            shim = self.folder / "bin" / client
            shim.write_text(f'#!/bin/sh\nexport SLURM_CONF={self._conf}\nexec {shutil.which(client)} "$@"\n')
            shim.chmod(0o755)
        for number in range(GPUS):
            # Character devices that swallow everything, in place of GPUs.
            os.mknod(self.folder / "dev" / f"nvidia{number}", 0o20666, os.makedev(1, 3))
        (self.folder / "etc" / "gres.conf").write_text(
            f"Name=gpu Type={GPU_MODEL} File={self.folder}/dev/nvidia[0-{GPUS - 1}]\n"
        )
        (self.folder / "etc" / "cgroup.conf").write_text("CgroupAutomount=no\n")
        host = socket.gethostname().split(".")[0]
        values = {"folder": self.folder, "ports": self.ports, "model": GPU_MODEL}
        self._conf.write_text(
            SLURM_CONF.format(
                **values,
                host=host,
                accounting=ACCOUNTING.format(**values) if self.accounting else NO_ACCOUNTING,
                kill_wait=self.kill_wait,
                cpus=CPUS,
                memory=MEMORY_MB,
                gpus=GPUS,
                nodes="\n".join(
                    f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={self.ports[name]}"
                    for name in self.node_names
                ),
            )
        )
        slurmdbd = self.folder / "etc" / "slurmdbd.conf"
        slurmdbd.write_text(SLURMDBD_CONF.format(**values))
        slurmdbd.chmod(0o600)

    @property
    def _conf(self) -> Path:
        return self.folder / "etc" / "slurm.conf"

    def start_daemon(self, name: str, *options: str) -> None:
        """Start one daemon (munged, mariadbd, slurmdbd, slurmctld, node1, ...) and wait until it answers.

        slurmctld takes options: -c makes it forget all jobs.
        """
        if name.startswith("node"):
            self._daemon("slurmd", "-N", name)
        else:
            getattr(self, f"_{name}")(*options)

    def _daemon(self, *command: str, **environment: str) -> None:
        variables = os.environ | {"SLURM_CONF": str(self._conf)} | environment
        subprocess.run(command, env=variables, check=True, capture_output=True, timeout=60)

    def _munged(self) -> None:
        run = self.folder / "run"
        self._daemon(
            "munged",
            f"--key-file={self.folder}/etc/munge.key",
            f"--socket={run}/munge.sock",
            f"--pid-file={run}/munged.pid",
            f"--log-file={self.folder}/log/munged.log",
            f"--seed-file={run}/munge.seed",
            "--num-threads=2",
            "--force",
        )

    def _mysql(self, statement: str) -> bool:
        command = ["mysql", "--no-defaults", f"--socket={self.folder}/run/mysql.sock", "-uroot", "-e", statement]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0

    def _mariadbd(self) -> None:
        data = self.folder / "mysql"
        if not data.exists():
            data.mkdir()
            shutil.chown(data, "mysql", "mysql")
            command = ["mysql_install_db", "--no-defaults", "--user=mysql", f"--datadir={data}", "--skip-test-db"]
            subprocess.run([*command, "--auth-root-authentication-method=normal"], check=True, capture_output=True)
        errors = self.folder / "log" / "mariadbd.log"
        errors.touch()
        shutil.chown(errors, "mysql", "mysql")
        command = ["mariadbd", "--no-defaults", "--user=mysql", f"--datadir={data}", "--skip-networking"]
        command += [f"--socket={self.folder}/run/mysql.sock", f"--pid-file={self.folder}/run/mariadbd.pid"]
        command += ["--innodb-buffer-pool-size=64M", "--innodb-lock-wait-timeout=900"]
        command += ["--innodb-flush-log-at-trx-commit=0", f"--log-error={errors}"]
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        wait_for("MariaDB answers", lambda: self._mysql("select 1"))
        grant = "grant all on slurm_acct.* to slurm@localhost identified by 'slurm'"
        assert self._mysql(f"create database if not exists slurm_acct; {grant}")

    def _slurmdbd(self) -> None:
        self._daemon("slurmdbd", MYSQL_UNIX_PORT=f"{self.folder}/run/mysql.sock")

        known = ("sacctmgr", "-nP", "show", "cluster", "format=cluster")
        wait_for("slurmdbd answers", lambda: self._client(*known, check=False).returncode == 0)
        if not self.run(*known):
            for entity in ("cluster test", "account lab cluster=test", "user root account=lab cluster=test"):
                self.run("sacctmgr", "-i", "add", *entity.split())

    def _slurmctld(self, *options: str) -> None:
        self._daemon("slurmctld", *options)
        wait_for("slurmctld answers", lambda: "UP" in self._client("scontrol", "ping", check=False).stdout)

    def _pid(self, name: str) -> int | None:
        file = self.folder / "run" / (f"slurmd-{name}.pid" if name.startswith("node") else f"{name}.pid")
        try:
            return int(file.read_text())
        except (FileNotFoundError, ValueError):
            return None

    def kill_daemon(self, name: str, sign: str = "TERM") -> None:
        """End one daemon with a signal, and wait until it is gone; SIGKILL after ten seconds."""
        pid = self._pid(name)
        if pid is None or not Path(f"/proc/{pid}").exists():
            return
        subprocess.run(["kill", f"-{sign}", str(pid)], check=False)
        try:
            wait_for(f"{name} is gone", lambda: not is_alive(pid), seconds=10)
        except TimeoutError:
            subprocess.run(["kill", "-KILL", str(pid)], check=False)
            wait_for(f"{name} is gone", lambda: not is_alive(pid), seconds=10)


def is_alive(pid: int) -> bool:
    """Say whether a process runs; one that has ended and that nobody asked about yet does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
