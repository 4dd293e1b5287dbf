"""Speed and memory of SASRec4SV, beside a plain PyTorch SASRec with dense Adam and beside recomputing everything.

    python scripts/bench_model.py > bench_model.json

Prints one JSON document. Each measurement has a process of its own, so that its peak of memory is its own; the machine's
noise is in every figure: compare ratios of medians from one run.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

VIDEOS, FEWER = 4_369_953, 100_000
ROWS, LENGTH, WIDTH, BLOCKS = 8, 500, 64, 2
USERS, CANDIDATES = 32, 10
TARGETS = {
    "history_tokens_per_s": 75_000,
    "events_per_s": 30_000,
    "times_yardstick": 30,
    "large_over_small": 2,
    "peak_gib": 2,
    "score_ms": 6,
    "times_recomputing": 50,
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """Speed and memory of SASRec4SV."""

    threads: int = 2
    """Of torch while training; scoring takes one."""
    repeats: int = 5
    """Measurements of each, in turns."""
    steps: int = 8
    """Training steps of a measurement."""
    videos: int = VIDEOS
    """Videos of the large table."""
    yardstick: bool = True
    """Whether to run the plain SASRec at that size; its tables, gradients and moments take 5 GiB."""
    device: str = "cpu"
    """Of torch: `cpu`, `cuda`."""
    part: str | None = None
    """Measure one thing and print it: what this script calls itself with."""


# --- what is measured --------------------------------------------------------------------------------------------------


def random_tokens(rows: dict[str, int], shape: tuple[int, ...], seed: int) -> Any:
    """Tokens of random events."""
    import torch

    from svsim.models.inputs import CATEGORIES, FEEDBACK_INPUTS, NUMBERS
    from svsim.models.network import Tokens
    from svsim.names import USER_FEATURES

    draw = torch.Generator().manual_seed(seed)

    def whole(high: int) -> torch.Tensor:
        return torch.randint(1, high, shape, generator=draw)

    def real(size: int) -> torch.Tensor:
        return torch.randn(*shape, size, generator=draw)

    return Tokens(
        user=whole(rows["user"]),
        video=whole(rows["video"]),
        author=whole(rows["author"]),
        tag_set=whole(20),
        number=real(len(NUMBERS)),
        category=torch.stack([whole(size) for size in CATEGORIES.values()], dim=-1),
        profile=torch.randn(*shape[:-1], 1, len(USER_FEATURES), generator=draw)
        if len(shape) > 1
        else real(len(USER_FEATURES)),
        feedback=real(len(FEEDBACK_INPUTS)),
        wait=real(1)[..., 0],
    )


def make_network(videos: int, *, content: bool) -> Any:
    """The default network over tables of a given size, the large ones updated by rows."""
    import torch

    from svsim.models.config import ModelConfig, TrainingConfig
    from svsim.models.embedding import Table
    from svsim.models.network import SASRec4SV

    torch.manual_seed(0)
    config = ModelConfig(width=WIDTH, blocks=BLOCKS, length=LENGTH, content=content)
    network = SASRec4SV(config, (1_001, videos, 1_025), torch.rand(20, 50))
    for part in network.modules():
        if isinstance(part, Table) and len(part.weight) >= TrainingConfig().dense_rows:
            part.by_rows()
    return network


def training_step(options: Options, videos: int, *, full: bool) -> Callable[[int], None]:
    """One step of training: the history stream with ids alone, or queries with content and every head."""
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, huber_loss

    network = make_network(videos, content=full).to(options.device).train()
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)
    table = network.video_table
    sizes = {"user": 1_001, "video": videos, "author": 1_025}

    def learn(number: int) -> None:
        history = moved(random_cached(sizes, (ROWS, LENGTH), number), options.device)
        asked = moved(random_cached(sizes, (ROWS, LENGTH), 100 + number), options.device)
        table.begin_batch(history.video, asked.video) if full else table.begin_batch(history.video)
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(options.device, dtype=torch.bfloat16, enabled=options.device == "cuda"):
            if full:
                visible = torch.arange(LENGTH, device=options.device).expand(ROWS, -1)
                told = network(history, asked, visible)
                loss = (
                    huber_loss(told["wtr"], torch.full_like(told["wtr"], 0.3))
                    + binary_cross_entropy_with_logits(told["binary"], torch.full_like(told["binary"], 0.3))
                    + huber_loss(told["wtg"], torch.zeros_like(told["wtg"]))
                    + binary_cross_entropy_with_logits(told["feedback"], torch.full_like(told["feedback"], 0.3))
                    + cross_entropy(told["watch"].flatten(0, 1), visible.new_zeros(ROWS * LENGTH))
                )
            else:
                trunk = network.encode(history)
                logit = (trunk[:, :-1] * table(history.video)[:, 1:]).sum(dim=-1)
                loss = binary_cross_entropy_with_logits(logit, torch.full_like(logit, 0.3))
        loss.backward()
        optimizer.step()
        if table.is_by_rows:
            table.rows_step(*table.touched, 0.05)
            table.end_batch()

    return learn


def yardstick_step(options: Options, videos: int) -> Callable[[int], None]:
    """A plain SASRec (Kang and McAuley 2018): PyTorch's own layers, one dense table, dense Adam."""
    import torch
    from torch import nn
    from torch.nn.functional import binary_cross_entropy_with_logits

    torch.manual_seed(0)
    items, places = nn.Embedding(videos, WIDTH, padding_idx=0), nn.Embedding(LENGTH, WIDTH)
    layer = nn.TransformerEncoderLayer(WIDTH, 2, 2 * WIDTH, 0.2, batch_first=True, norm_first=True)
    trunk = nn.TransformerEncoder(layer, BLOCKS, enable_nested_tensor=False)
    model = nn.ModuleList([items, places, trunk]).to(options.device).train()
    optimizer = torch.optim.Adam(model.parameters())
    mask = nn.Transformer.generate_square_subsequent_mask(LENGTH, device=options.device)

    def learn(number: int) -> None:
        seen, other = (
            random_cached({"user": 2, "video": videos, "author": 2}, (ROWS, LENGTH), key).video.to(options.device)
            for key in (number, 50 + number)
        )
        optimizer.zero_grad()
        token = items(seen) * WIDTH**0.5 + places(torch.arange(LENGTH, device=options.device))
        state = trunk(token, mask=mask, is_causal=True)[:, :-1]
        right, wrong = ((state * items(ids[:, 1:])).sum(dim=-1) for ids in (seen, other))
        loss = binary_cross_entropy_with_logits(right, torch.ones_like(right))
        (loss + binary_cross_entropy_with_logits(wrong, torch.zeros_like(wrong))).backward()
        optimizer.step()

    return learn


_cached: dict[tuple[Any, ...], Any] = {}


def random_cached(rows: dict[str, int], shape: tuple[int, ...], seed: int) -> Any:
    """Tokens made once: drawing them is no part of a step."""
    key = (*rows.items(), shape, seed)
    if key not in _cached:
        _cached[key] = random_tokens(rows, shape, seed)
    return _cached[key]


def moved(tokens: Any, device: str) -> Any:
    """Tokens on a device."""
    return tokens if device == "cpu" else type(tokens)(**{n: v.to(device) for n, v in vars(tokens).items()})


def time_training(learn: Callable[[int], None], options: Options) -> dict[str, Any]:
    """Milliseconds a step, after two steps that warm up."""
    import torch

    times = []
    for number in range(options.steps + 2):
        began = time.perf_counter()
        learn(number % 4)
        if options.device == "cuda":
            torch.cuda.synchronize()
        times.append(1e3 * (time.perf_counter() - began))
    return {"ms": statistics.median(times[2:])}


def time_scoring(_: Options) -> dict[str, Any]:
    """Scoring through the cache: 32 users × 10 candidates after 500 events.

    And everything anew: each candidate appended to each history, as a causal model without query tokens has to; and one
    full pass in which a user's candidates share the history, as this model's queries do.
    """
    import torch

    from svsim.models.scoring import Scorer

    torch.set_num_threads(1)
    network = make_network(FEWER, content=True).eval()
    sizes = {"user": 1_001, "video": FEWER, "author": 1_025}
    scorer = Scorer(network)
    history = random_tokens(sizes, (USERS, LENGTH), 0)
    length = torch.full((USERS,), LENGTH)
    asked, event = random_tokens(sizes, (USERS, CANDIDATES), 1), random_tokens(sizes, (USERS,), 2)
    cache = scorer.prefill(history, length)
    visible = torch.full((USERS, CANDIDATES), LENGTH)

    def shared() -> None:
        with torch.inference_mode():
            network(history, asked, visible)

    def anew() -> None:
        with torch.inference_mode():
            for candidate in range(CANDIDATES):
                one = asked.take((slice(None), slice(candidate, candidate + 1)))
                network(history, one, visible[:, :1])

    return {
        "score_ms": median_ms(lambda: scorer.score(cache, asked), 60),
        "step_ms": median_ms(lambda: scorer.step(cache, event), 60),
        "shared_ms": median_ms(shared, 4),
        "anew_ms": median_ms(anew, 2),
    }


def time_agent(_: Options) -> dict[str, Any]:
    """The agent's whole step (act and observe), and with histories read anew at every step: for all or each candidate."""
    import tempfile

    import gymnasium as gym
    import torch

    import svsim  # noqa: F401 - registers the environments
    from svsim.agents import make_agent
    from svsim.data import prepare
    from svsim.models.config import ModelConfig, TrainingConfig
    from svsim.models.training import train
    from svsim.world import StandIn, write_standin

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="svsim-bench-") as folder:
        size = StandIn(users=64, videos=2_000, rows=64_000, days=21)
        store = prepare(write_standin(Path(folder) / "logs", size), Path(folder) / "store")
        run = train(store, Path(folder) / "run", ModelConfig(), TrainingConfig(epochs=1, batch_events=65_536))
        env: Any = gym.make_vec(
            "svsim/Replay-v0",
            num_envs=USERS,
            vectorization_mode="vector_entry_point",
            store=store,
            candidates=CANDIDATES,
            history=LENGTH,
            horizon=1_000_000,
            session_gap_minutes=None,
        ).unwrapped
        agent: Any = make_agent(f"sasrec4sv?run={run.path}")
        agent.fit(store, seed=0)
        observation, info = env.reset(seed=0)
        agent.reset(observation, info, seed=0)
        own, shared, anew = [], [], []
        for _ in range(20):
            began = time.perf_counter()
            action = agent.act(observation)
            acted = time.perf_counter() - began
            following, reward, terminated, truncated, info = env.step(action)
            ended = terminated | truncated
            if ended.any():
                break
            began = time.perf_counter()
            agent.observe(observation, action, reward, following, terminated, truncated, info, ended)
            own.append(1e3 * (acted + time.perf_counter() - began))
            observation = following
        for _ in range(4):
            began = time.perf_counter()
            agent.reset(observation, info, seed=0)
            agent.act(observation)
            shared.append(1e3 * (time.perf_counter() - began))
            for _ in range(CANDIDATES - 1):
                agent.reset(observation, info, seed=0)
                agent.act(observation)
            anew.append(1e3 * (time.perf_counter() - began))
    return {
        "agent_ms": statistics.median(own[2:]),
        "agent_shared_ms": statistics.median(shared),
        "agent_anew_ms": statistics.median(anew),
    }


def median_ms(call: Callable[[], object], times: int) -> float:
    """Median milliseconds of some calls, after two that warm up."""
    took = []
    for _ in range(times + 2):
        began = time.perf_counter()
        call()
        took.append(1e3 * (time.perf_counter() - began))
    return statistics.median(took[2:])


PARTS: dict[str, Callable[[Options], dict[str, Any]]] = {
    "history_large": lambda o: time_training(training_step(o, o.videos, full=False), o),
    "history_small": lambda o: time_training(training_step(o, FEWER, full=False), o),
    "full_large": lambda o: time_training(training_step(o, o.videos, full=True), o),
    "full_small": lambda o: time_training(training_step(o, FEWER, full=True), o),
    "yardstick": lambda o: time_training(yardstick_step(o, o.videos), o),
    "scoring": time_scoring,
    "agent": time_agent,
}


# --- the run ------------------------------------------------------------------------------------------------------------


def measure(part: str, options: Options) -> dict[str, Any]:
    """Run one part in a process of its own."""
    words = ["--part", part, "--threads", str(options.threads), "--videos", str(options.videos)]
    words += ["--steps", str(3 if part == "yardstick" else options.steps), "--device", options.device]
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
    ran = subprocess.run([sys.executable, __file__, *words], check=True, capture_output=True, env=environment)
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def run_part(part: str, options: Options) -> None:
    """Measure in this process and print, with the peak of its resident memory."""
    import torch

    torch.set_num_threads(options.threads)
    found = PARTS[part](options)
    status = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    print(json.dumps({**found, "peak_gib": peak / 2**20}))


def main(options: Options) -> None:
    """Measure in turns and print."""
    if options.part:
        run_part(options.part, options)
        return
    parts = [part for part in PARTS if options.yardstick or part != "yardstick"]
    found: dict[str, list[dict[str, Any]]] = {part: [] for part in parts}
    for number in range(options.repeats):
        for part in parts:
            print(f"round {number + 1} of {options.repeats}: {part}", file=sys.stderr)
            found[part].append(measure(part, options))

    def median(part: str, key: str = "ms") -> float:
        return statistics.median(one[key] for one in found[part])

    def ratio(over: tuple[str, str], under: tuple[str, str]) -> float:
        pairs = zip(found[over[0]], found[under[0]], strict=True)
        return statistics.median(a[over[1]] / b[under[1]] for a, b in pairs)

    tokens = ROWS * LENGTH
    document = {
        "threads": options.threads,
        "device": options.device,
        "batch": f"{ROWS} x {LENGTH}, width {WIDTH}, {BLOCKS} blocks",
        "videos": {"large": options.videos, "small": FEWER},
        "history_tokens_per_s": {p: 1e3 * tokens / median(p) for p in ("history_large", "history_small")},
        "events_per_s": {p: 1e3 * tokens / median(p) for p in ("full_large", "full_small")},
        "ms_per_step": {p: median(p) for p in parts if p not in ("scoring", "agent")},
        "peak_gib": {p: median(p, "peak_gib") for p in parts},
        "large_over_small": {
            "history": ratio(("history_large", "ms"), ("history_small", "ms")),
            "full": ratio(("full_large", "ms"), ("full_small", "ms")),
        },
        "scoring_ms": {key: median("scoring", key) for key in ("score_ms", "step_ms", "shared_ms", "anew_ms")},
        "agent_ms": {key: median("agent", key) for key in ("agent_ms", "agent_shared_ms", "agent_anew_ms")},
        "times_recomputing": {
            "score": ratio(("scoring", "anew_ms"), ("scoring", "score_ms")),
            "agent": ratio(("agent", "agent_anew_ms"), ("agent", "agent_ms")),
        },
        "times_one_shared_pass": {
            "score": ratio(("scoring", "shared_ms"), ("scoring", "score_ms")),
            "agent": ratio(("agent", "agent_shared_ms"), ("agent", "agent_ms")),
        },
        "targets": TARGETS,
        "all": found,
    }
    if options.yardstick:
        document["times_yardstick"] = {
            part: ratio(("yardstick", "ms"), (part, "ms")) for part in ("history_large", "full_large")
        }
    print(json.dumps(document, indent=1))


if __name__ == "__main__":
    main(tyro.cli(Options))
