"""What an autofit run collects: as many crops as fit in its minutes, decided once, so that a killed run goes on.

The plan is watched while it is worked off: on a machine that has become slower fewer pictures are collected.
"""

import hashlib
import io
import json
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext, redirect_stdout
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from tqdm.auto import tqdm

from latentfit.autofit.config import AutofitConfig
from latentfit.errors import NoPicturesError, Remedy, StoreError
from latentfit.images.sources import TEST_SHARE, Picture, is_test, pictures
from latentfit.pairs.collector import collect
from latentfit.pairs.store import PairStore
from latentfit.runtime import schemas
from latentfit.runtime.devices import device_name
from latentfit.runtime.escaping import lines
from latentfit.runtime.storage import write_atomic
from latentfit.vae.vae import Vae

SHARE_FOR_COLLECTING = 0.7  # of the minutes: the rest is for fits, scores and the page
SECONDS_AFTER = 0.3  # fits and scores take about so long for each crop (docs/log.md)
MOST_BUSY = 8.0  # times as long as on an idle machine, at most, as far as a plan goes
MOST_CROPS = 8  # of one picture
FEWEST_PICTURES = 10  # with fewer, scores say little; rather some seconds more
TURN_SECONDS = 20  # of collecting: what a killed run loses at most
LOOKED_AT = 400  # pictures whose bytes are hashed at most, to choose among them


@dataclass
class Clock:
    """Time of a whole autofit run, and what was left out to keep to it.

    Attributes
    ----------
    minutes : float
    now : callable
        Seconds of a clock that only goes forward.
    seconds : dict of str to float
        Time of each step.
    left_out : list of str
        What there was no time for, in words.
    """

    minutes: float
    now: Callable[[], float] = time.monotonic
    seconds: dict[str, float] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._started = self._last = self.now()

    def left(self, share: float = 1.0) -> float:
        """Seconds until this share of the minutes is spent; 0 when it is."""
        return max(0.0, 60 * self.minutes * share - (self.now() - self._started))

    def lap(self, step: str) -> None:
        """The step that began at the last lap is done."""
        now = self.now()
        self.seconds[step], self._last = now - self._last, now


@dataclass(frozen=True)
class Plan:
    """The pictures that are collected, and the time that the VAE takes for them.

    Attributes
    ----------
    n_pictures, crops : int
        Pictures, and crops of each.
    seconds_per_crop, seconds_per_decode : float
        Time that the VAE takes, as measured.
    """

    n_pictures: int
    crops: int
    seconds_per_crop: float
    seconds_per_decode: float


_SECONDS = schemas.number(0, 1e9)
_PLAN = schemas.record(
    {
        "n_pictures": schemas.integer(1, 1 << 31), "crops": schemas.integer(1, 1 << 20),
        "seconds_per_crop": _SECONDS, "seconds_per_decode": _SECONDS,
    },
    ("n_pictures", "crops", "seconds_per_crop", "seconds_per_decode"),
)  # fmt: skip


def collected(vae: Vae, config: AutofitConfig, clock: Clock | None = None) -> tuple[PairStore, Plan]:
    """Collect what the plan says, or what is missing of it; less where the clock says so.

    Raises
    ------
    NoPicturesError
        When no picture can be used.
    StoreError
        When the store is of another VAE or size, or too few pictures are there to hold some out.
    """
    clock = clock or Clock(config.minutes)
    found = pictures(list(config.images))
    plan = _planned(vae, config, len(found))
    chosen = choose(found, plan.n_pictures)
    print(
        f"{plan.seconds_per_crop:.2f} s a crop of {config.size} px: {len(chosen)} of {len(found)} pictures, "
        f"{plan.crops} crop{'s' if plan.crops > 1 else ''} of each"
    )
    store = _collect_in_turns(vae, chosen, config, plan, clock)
    if not store.split("test") or not store.split("train"):
        missing = "held out" if store.split("train") else "to fit"
        raise StoreError(
            f"of {len(chosen)} pictures none is {missing} (their hashes decide)",
            place=store.path,
            expected="10 or more",
            remedy=Remedy("add pictures, for example {}", images=(*config.images, "bundled")),
        )
    return store, plan


def _collect_in_turns(
    vae: Vae, chosen: Sequence[Picture], config: AutofitConfig, plan: Plan, clock: Clock
) -> PairStore:
    """Some pictures at a time, so that a killed run of a slow VAE loses one turn, and the bar tells the time left."""
    folder = config.out / "store"
    n_turn = max(1, int(TURN_SECONDS / (plan.seconds_per_crop * plan.crops)))
    n_turns = -(-len(chosen) // n_turn)
    waiting = [
        picture for first in range(n_turns) for picture in chosen[first::n_turns]
    ]  # turns from all of the source
    said = io.StringIO()
    unusable: list[NoPicturesError] = []
    pace = 0.0  # seconds a picture, as the turns so far had it
    how = {"size": config.size, "keep": "photo", "crops": plan.crops, "square": True}
    with tqdm(total=len(chosen), unit="picture", desc="collect", disable=n_turn >= len(chosen)) as bar:
        while waiting:
            count = _next_turn(min(n_turn, len(waiting)), pace, clock.left(SHARE_FOR_COLLECTING))
            if not count and _can_be_scored(folder):
                clock.left_out.append(
                    f"collect: time is up after {len(chosen) - len(waiting)} of {len(chosen)} pictures; the next "
                    "run goes on with the others"
                )
                print(clock.left_out[-1])
                break
            part, waiting = waiting[: max(count, 1)], waiting[max(count, 1) :]
            before = clock.now()
            try:
                with nullcontext() if bar.disable else redirect_stdout(said):
                    collect(vae, part, folder, progress=bool(bar.disable), **how)  # type: ignore[arg-type]
            except NoPicturesError as error:
                unusable.append(error)
            pace = (clock.now() - before) / len(part)
            bar.update(len(part))
    skipped = [line for line in said.getvalue().splitlines(True) if line.startswith("  skipped")]
    print(lines("".join(skipped)), end="")
    if unusable and not any(folder.glob("*.safetensors")):
        raise unusable[0]
    print(lines("\n".join(map(str, unusable))), end="\n" if unusable else "")
    return PairStore(folder)


def _next_turn(most: int, pace: float, left: float) -> int:
    """Pictures of the next turn at this pace, in the time that is left; 0 when there is none."""
    if left <= 0:
        return 0
    return min(most, max(1, int(TURN_SECONDS / pace)), int(left / pace)) if pace else most


def _can_be_scored(folder: Path) -> bool:
    """Whether some pictures are there to fit, and others to score."""
    if not any(folder.glob("*.safetensors")):
        return False
    return len({sample.is_test for sample in PairStore(folder).samples}) == 2


def choose(found: Sequence[Picture], n_pictures: int) -> list[Picture]:
    """Pictures spread evenly over the source, one in five of them held out by its hash, in the source's order."""
    if n_pictures >= len(found):
        return list(found)
    looked_at = _spread(range(len(found)), max(LOOKED_AT, 2 * n_pictures))
    sides: dict[bool, list[int]] = {True: [], False: []}
    for index in looked_at:
        try:
            sides[is_test(hashlib.sha256(found[index].read()).hexdigest())].append(index)
        except OSError:  # `collect` names and counts what cannot be read
            sides[False].append(index)
    n_test = max(1, round(n_pictures / TEST_SHARE))
    held_out = _spread(sides[True], n_test)
    return [found[index] for index in sorted([*held_out, *_spread(sides[False], n_pictures - len(held_out))])]


def _planned(vae: Vae, config: AutofitConfig, n_found: int) -> Plan:
    """The plan of an earlier run of the same command, or a new one."""
    asked = {
        "images": list(config.images),
        "n_found": n_found,
        "size": config.size,
        "minutes": config.minutes,
        "crops": config.crops,
        "vae": vae.fingerprint,
    }
    path = config.out / "plan.json"
    try:
        written = schemas.read_json(path)
        if written["asked"] == asked:
            return Plan(**_PLAN(written["plan"], str(path)))
    except (OSError, ValueError, KeyError, TypeError):
        pass  # none, or not one of ours: planned anew
    plan = _plan(vae, config, n_found)
    write_atomic(path, json.dumps({"asked": asked, "plan": asdict(plan)}, indent=2) + "\n")
    return plan


def _plan(vae: Vae, config: AutofitConfig, n_found: int) -> Plan:
    if not n_found:
        raise NoPicturesError(
            "autofit",
            expected="pictures",
            got="none",
            remedy=Remedy("name a folder with {}, or leave it out", images=...),
        )
    wall, own = time.perf_counter(), time.process_time()
    encode, decode = _seconds(vae, config.size)
    wall, own = time.perf_counter() - wall, time.process_time() - own
    busy = min(MOST_BUSY, max(1.0, wall / own)) if wall > 0.1 and device_name(config.device) == "cpu" else 1.0
    per_crop, budget = encode + decode, 60 * config.minutes
    n_crops = int(min(SHARE_FOR_COLLECTING * budget / per_crop, budget / (per_crop + busy * SECONDS_AFTER)))
    n_crops = max(n_crops, FEWEST_PICTURES)
    crops = config.crops or max(1, min(MOST_CROPS, n_crops // n_found))
    return Plan(min(n_found, max(n_crops // crops, FEWEST_PICTURES)), crops, per_crop, decode)


def _seconds(vae: Vae, size: int) -> tuple[float, float]:
    """Time of one encode and of one decode: the faster of two, so that warming up does not count."""
    side = max(vae.cell_px * 2, size // (vae.cell_px * 2) * vae.cell_px * 2)
    rgb = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    spent = []
    for _ in range(2):
        started = time.perf_counter()
        latents = vae.encode(rgb)
        between = time.perf_counter()
        vae.decode(latents)
        spent.append((between - started, time.perf_counter() - between))
    return min(encode for encode, _ in spent), min(decode for _, decode in spent)


def _spread(items: Sequence[int], count: int) -> list[int]:
    """`count` of the items at equal distances; all when there are no more."""
    if count >= len(items):
        return list(items)
    return [items[index * len(items) // count] for index in range(count)]
