"""Known faults, for `mutants.py`: what stands in the package, what a careless hand would make of it, and who notices.

A text stands exactly once in the package, wherever its module lies; `test_mutants.py` sees to that.
"""

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes
    ----------
    area : str
        What it breaks, such as "tiles".
    name : str
        The fault in words.
    old, new : str
        Text that stands once in the package or in the notebooks' runner, and what takes its place.
    tests : str
        Who should notice, separated by spaces: files by their stem, in whatever folder of tests/ they lie, or single
        tests in them, such as ``test_fit::test_names``.
    """

    area: str
    name: str
    old: str
    new: str
    tests: str


def modules_of(root: Path) -> dict[Path, str]:
    """The modules of a checkout in which faults are planted, and their text."""
    paths = [*sorted((root / "latentfit").rglob("*.py")), root / "notebooks" / "run.py"]
    return {path: path.read_text("utf-8") for path in paths}


def places_of(fault: Fault, modules: dict[Path, str]) -> list[Path]:
    """The modules in which a fault's text stands; one that has it twice comes twice."""
    return [path for path, text in modules.items() for _ in range(text.count(fault.old))]


def nodes_of(name: str, root: Path) -> list[str]:
    """Where ``stem`` or ``stem::test`` lies in a checkout, in any folder of tests/, as pytest takes it."""
    stem, colons, member = name.partition("::")
    files = sorted((root / "tests").rglob(f"{stem}.py"))
    return [f"{path}{colons}{member}" for path in files if not member or _defines(path, member)]


def _defines(path: Path, name: str) -> bool:
    return re.search(rf"(?m)^def {re.escape(name)}\(", path.read_text("utf-8")) is not None


FAULTS = (
    Fault(
        "fit",
        "the ridge with the largest error is chosen",
        "chosen = min(cv_mse, key=lambda r: cv_mse[r])",
        "chosen = max(cv_mse, key=lambda r: cv_mse[r])",
        "test_fit::test_ridge_is_chosen_by_left_out_folds",
    ),
    Fault(
        "fit",
        "folds are scored with their own cells in the fit",
        "cross.sum(0) - cross[fold], self._ridges",
        "cross.sum(0), self._ridges",
        (
            "test_fit::test_ridge_is_chosen_by_left_out_folds "
            "test_fit::test_ridge_is_judged_on_pictures_that_were_left_out"
        ),
    ),
    Fault(
        "fit",
        "terms are not centred",
        "- np.outer(self._mean, self._mean)",
        "- 0 * np.outer(self._mean, self._mean)",
        "test_fit::test_solution_equals_scikit_learn",
    ),
    Fault(
        "fit",
        "nothing is cut from the spectrum",
        "self._kept = self._values > max(n_terms, 1) * np.finfo(float).eps * 10 * max(largest, 1e-300)",
        "self._kept = self._values > -1",
        "test_fit::test_rank_deficient_and_constant_data_are_solved_and_said",
    ),
    Fault(
        "fit",
        "residuals count the diagonal twice",
        "(2 * (upper @ flat) - upper.diagonal()[:, None] * flat)",
        "(2 * (upper @ flat))",
        "test_fit::test_solution_equals_scikit_learn test_fit::test_ridge_is_chosen_by_left_out_folds",
    ),
    Fault(
        "fit",
        "merged moments lose one side",
        "self.sums += other.sums",
        "self.sums = other.sums",
        "test_fit::test_chunks_order_and_merging_do_not_matter",
    ),
    Fault(
        "fit",
        "a gram matrix keeps the fold that is left out",
        "if fold != without:",
        "if True:",
        "test_fit::test_chunks_order_and_merging_do_not_matter",
    ),
    Fault(
        "fit",
        "the ridge is a share of the largest eigenvalue",
        "shrunk = self._values[:, None] + np.asarray(ridges)",
        "shrunk = self._values[:, None] + self._values[-1] * np.asarray(ridges)",
        "test_ridge_scale",
    ),
    Fault(
        "fit",
        "the ridge counts cells",
        "shrunk = self._values[:, None] + np.asarray(ridges)",
        "shrunk = self._values[:, None] + np.asarray(ridges) / self._count",
        "test_ridge_scale",
    ),
    Fault(
        "fit",
        "constant terms are standardised by their rounding",
        "varies = variance > 1e-12 * np.maximum(square, np.finfo(float).tiny)",
        "varies = variance > 0",
        "test_ridge_scale test_fit::test_rank_deficient_and_constant_data_are_solved_and_said",
    ),
    Fault(
        "domains",
        "raw latents are scaled before they are shifted",
        "return (raw - shift) * scale",
        "return raw * scale - shift",
        "test_spaces",
    ),
    Fault(
        "domains",
        "the way back to raw forgets the shift",
        "return latents / scale + shift",
        "return latents / scale",
        "test_spaces",
    ),
    Fault(
        "domains",
        "signed colours are read a half too dark",
        "return signed / 2 + 0.5",
        "return signed / 2",
        "test_spaces test_contracts",
    ),
    Fault(
        "domains",
        "colours become signed by half the range",
        "return rgb * 2 - 1",
        "return rgb - 0.5",
        "test_spaces",
    ),
    Fault(
        "domains",
        "packed channels are ordered otherwise",
        "return torch.nn.functional.pixel_shuffle(packed, 2)",
        "return torch.nn.functional.pixel_shuffle(packed.flip(1), 2)",
        "test_spaces",
    ),
    Fault(
        "domains",
        "old .latent files are taken as scaled",
        "raw = raw.float() * _LEGACY_FACTOR if is_legacy else raw.float()",
        "raw = raw.float()",
        "test_files::test_a_file_without_marker_was_stored_in_the_model_domain_of_sd1",
    ),
    Fault(
        "domains",
        "latents are written in the model domain",
        "samples = space.model_to_comfy(latents).contiguous().cpu()",
        "samples = latents.contiguous().cpu()",
        "test_files::test_round_trip_is_raw_on_disk",
    ),
    Fault(
        "domains",
        "channels are not checked",
        "if latents.ndim not in (4, 5) or latents.shape[1] != self.channels:",
        "if latents.ndim not in (4, 5):",
        "test_spaces test_contracts",
    ),
    Fault(
        "domains",
        "`convert` writes in the source's domain",
        (
            "written = write_latents(out, made, loaded.target, file.metadata)\n"
            '    say(f"{written}: {loaded.target.title}'
        ),
        (
            "written = write_latents(out, made, loaded.source, file.metadata)\n"
            '    say(f"{written}: {loaded.target.title}'
        ),
        "test_converted_domains",
    ),
    Fault(
        "domains",
        "FLUX.2's latents are crossed although its VAE normalises",
        'if domain == "raw" or space.normalised_by_vae:',
        'if domain == "raw":',
        "test_converted_domains",
    ),
    Fault(
        "domains",
        "`decode` ignores --domain",
        "read = noticed_latents(latents, approximation.space, domain).latents",
        "read = noticed_latents(latents, approximation.space, None).latents",
        "test_domains::test_decode_takes_the_domain_and_gives_the_picture_of_the_raw_file",
    ),
    Fault(
        "domains",
        "`convert` ignores --domain",
        ("file = noticed_latents(latents, loaded.source, domain)\n    made = map_latents"),
        ("file = noticed_latents(latents, loaded.source, None)\n    made = map_latents"),
        "test_domains::test_convert_and_upscale_take_the_domain",
    ),
    Fault(
        "domains",
        "`upscale` ignores --domain",
        ("file = noticed_latents(latents, loaded.source, domain)\n    made = enlarge"),
        ("file = noticed_latents(latents, loaded.source, None)\n    made = enlarge"),
        "test_domains::test_convert_and_upscale_take_the_domain",
    ),
    Fault(
        "domains",
        "`collect` ignores the domain",
        "read = open_latents(file.path, self._space, self._config.domain)",
        "read = open_latents(file.path, self._space)",
        "test_domains::test_collect_leaves_out_what_would_poison_a_store",
    ),
    Fault(
        "domains",
        "commands never tell a doubt",
        "if (doubt := file.doubt) is not None:",
        "if (doubt := file.doubt) is not None and not doubt:",
        "test_domains::test_decode_takes_the_domain_and_gives_the_picture_of_the_raw_file",
    ),
    Fault(
        "domains",
        "Python never tells a doubt",
        ("if file.doubt is not None:\n        warnings"),
        ("if False:\n        warnings"),
        "test_domains::test_reading_in_python_warns_and_takes_the_domain",
    ),
    Fault(
        "domains",
        "`collect` keeps what is of another domain",
        "if read.doubt is not None and self._config.domain is None:",
        "if False:",
        "test_domains::test_collect_leaves_out_what_would_poison_a_store",
    ),
    Fault(
        "domains",
        "latents of a video pass for a picture's",
        "if latents.ndim == 5 and declared.dims == 2:",
        "if False:",
        "test_domains::test_five_dimensions_name_the_spaces_that_have_them",
    ),
    Fault(
        "domains",
        "noise is taken for another space",
        "if abs(_neighbours_correlation(mean, square)) < NOISE:",
        "if False:",
        "test_domains::test_nothing_is_said_of_what_nothing_can_be_told_of test_likely_space",
    ),
    Fault(
        "maps",
        "borders are zeros",
        'padded = nn.functional.pad(latents, (self.kernels[0] // 2,) * 4, mode="replicate")',
        "padded = nn.functional.pad(latents, (self.kernels[0] // 2,) * 4)",
        "test_fit::test_the_module_equals_its_terms_summed_in_numpy",
    ),
    Fault(
        "maps",
        "signed coefficients are shown as they are",
        "values = torch.cat([values[:1] / 2 + 0.5, values[1:] / 2])",
        "values = values + 0",
        "test_fit::test_the_module_equals_its_terms_summed_in_numpy",
    ),
    Fault(
        "maps",
        "new coefficients leave the old ones in use",
        ("        self.coefficients = values.to(self.coefficients.device)\n        self._prepared = None"),
        "        self.coefficients = values.to(self.coefficients.device)",
        "test_coefficients_in_use",
    ),
    Fault(
        "maps",
        "pictures are not clamped",
        "return rgb.clamp(0, 1) if _share_memory(rgb, latents) else rgb.clamp_(0, 1)",
        "return rgb",
        "test_contracts",
    ),
    Fault(
        "maps",
        "frames of a video change places with its channels",
        "return unfolded.movedim(1, 2) if channels else unfolded",
        "return unfolded",
        "test_contracts",
    ),
    Fault(
        "maps",
        "a chain takes any order of spaces",
        "if part.target != space:",
        "if False:",
        "test_contracts",
    ),
    Fault(
        "maps",
        "blocks are padded with zeros",
        'return nn.functional.pad(latents, (0, right, 0, down), mode="replicate") if down or right else latents',
        "return nn.functional.pad(latents, (0, right, 0, down)) if down or right else latents",
        "test_padded_blocks",
    ),
    Fault(
        "maps",
        "loaded coefficients leave the old ones in use",
        ("super()._load_from_state_dict(*args, **kwargs)\n        self._prepared = None"),
        "super()._load_from_state_dict(*args, **kwargs)",
        "test_coefficients_in_use",
    ),
    Fault(
        "tiles",
        "margins are kept",
        "depth = torch.arange(n_pixels, dtype=torch.float32) + 0.5 - margin",
        "depth = torch.arange(n_pixels, dtype=torch.float32) + 0.5",
        "test_tiled::test_tiles_are_the_whole",
    ),
    Fault(
        "tiles",
        "the picture's own edge is thrown away",
        ("if start > 0:\n            weights = weights * rise"),
        ("if True:\n            weights = weights * rise"),
        "test_tiled::test_tiles_are_the_whole",
    ),
    Fault(
        "tiles",
        "the last tile is left out",
        "return [*range(0, n_cells - self.tile_cells, stride), n_cells - self.tile_cells]",
        "return [*range(0, n_cells - self.tile_cells, stride)]",
        "test_tiled::test_tiles_are_the_whole",
    ),
    Fault(
        "tiles",
        "overlaps are added up, not averaged",
        "return blended / total",
        "return blended",
        "test_tiled::test_tiles_are_the_whole",
    ),
    Fault(
        "tiles",
        "a VAE's tiles keep its rim",
        "receptive_cells = self.network.receptive_cells",
        "receptive_cells = 0",
        "test_vae::test_tiles_are_exact_for_the_plain_tiny_family_only",
    ),
    Fault(
        "tiles",
        "tiles overlap by the receptive field once",
        "overlap = tile // 4 if margin is None else 2 * margin",
        "overlap = tile // 4 if margin is None else margin + 1",
        "test_tiled::test_tiles_are_the_whole",
    ),
    Fault(
        "tiles",
        "tiles of latents at a fraction begin within a block",
        "margin = None if receptive_cells is None else math.ceil(receptive_cells / block)",
        "margin = None if receptive_cells is None else receptive_cells // block",
        "test_tiled::test_tiles_of_maps_between_latents_are_the_whole",
    ),
    Fault(
        "pictures",
        "collected pictures are shrunk bilinearly",
        "image.resize((int(columns * share), int(rows * share)), Image.Resampling.LANCZOS, box=clipped)",
        "image.resize((int(columns * share), int(rows * share)), Image.Resampling.BILINEAR, box=clipped)",
        "test_resize_filter",
    ),
    Fault(
        "pictures",
        "small pictures are enlarged",
        "ratio = min(1.0, size / min(width, height))",
        "ratio = size / min(width, height)",
        "test_sources::test_a_small_picture_is_cut_not_scaled",
    ),
    Fault(
        "pictures",
        "transparent pictures stand on black",
        "(255, 255, 255, 255)",
        "(0, 0, 0, 255)",
        "test_sources::test_alpha_lies_over_white",
    ),
    Fault(
        "pictures",
        "crops are centred a pixel off",
        "left, top = (wide - columns) // 2, (tall - rows) // 2",
        "left, top = (wide - columns) // 2 + 1, (tall - rows) // 2",
        "test_resize_filter",
    ),
    Fault(
        "pictures",
        "ICC profiles are not converted",
        "    if colours.icc is not None:\n",
        "    if False:\n",
        "test_profiles::test_display_p3_is_read_as_its_colours_in_srgb",
    ),
    Fault(
        "pictures",
        "PNG's code points are not looked at",
        'points = _cicp(blob) if image.format == "PNG" else None',
        "points = None",
        "test_profiles::test_png_chunks_in_the_order_of_its_third_edition",
    ),
    Fault(
        "pictures",
        "the 16 bits of a grey picture are cut, not scaled",
        "nearest = ((np.arange(TOP + 1) * 255 + TOP // 2) // TOP).astype(np.uint8)",
        "nearest = np.clip(np.arange(TOP + 1), 0, 255).astype(np.uint8)",
        "test_sources::test_16_bit_grey_is_scaled_by_its_depth",
    ),
    Fault(
        "splits",
        "one picture in four is held out",
        "TEST_SHARE = 5  #",
        "TEST_SHARE = 4  #",
        "test_sources::test_one_picture_in_five_is_held_out_whatever_the_fold",
    ),
    Fault(
        "splits",
        "folds follow the split",
        "return int(sha256[8:16], 16) % n_folds",
        "return int(sha256[:8], 16) % n_folds",
        "test_folds",
    ),
    Fault(
        "splits",
        "held-out pictures are those that were fitted on",
        "chosen = [one for one in considered if not by_key.get(sample_of(one).key, sample_of(one).sha256 in exact)]",
        "chosen = list(considered)",
        "test_evaluation::test_fitted_pictures_are_left_out_of_every_row",
    ),
    Fault(
        "splits",
        "`fit` takes all pictures",
        "chosen = list(store.split(split) if samples is None else samples)",
        "chosen = list(store.samples if samples is None else samples)",
        "test_cli::test_evaluate_scores_what_no_file_was_fitted_on",
    ),
    Fault(
        "splits",
        "`train` takes all pictures",
        "source = _source(store, store.split(split), preset, scale, config.seed)",
        'source = _source(store, store.split("all"), preset, scale, config.seed)',
        "test_training::test_all_pictures_or_the_training_ones",
    ),
    Fault(
        "splits",
        "`evaluate` scores every split",
        "frame = run(named, opened, split=split, progress=True)",
        "frame = run(named, opened, progress=True)",
        "test_split_flags::test_evaluate_scores_just_that_split",
    ),
    Fault(
        "splits",
        "another VAE's round trip is scored",
        "if vae.fingerprint != store.fingerprint:",
        "if False:",
        "test_split_flags::test_a_store_of_another_vae_is_refused",
    ),
    Fault(
        "splits",
        "`train decoder` ignores --split",
        "made = train_decoder(opened, how.preset, how.out, config=config, split=how.split, begin=first",
        "made = train_decoder(opened, how.preset, how.out, config=config, begin=first",
        "test_split_flags::test_train_learns_from_just_that_split",
    ),
    Fault(
        "splits",
        "`train encoder` ignores --split",
        "train_encoder(opened, how.preset, how.out, config=config, split=how.split, begin=first",
        "train_encoder(opened, how.preset, how.out, config=config, begin=first",
        "test_split_flags::test_train_learns_from_just_that_split",
    ),
    Fault(
        "splits",
        "`train palette` ignores --split",
        "oklab=oklab, split=how.split,",
        "oklab=oklab,",
        "test_split_flags::test_train_learns_from_just_that_split",
    ),
    Fault(
        "splits",
        "`train interposer` ignores --split",
        ("trunk=_trunk_for(how, preset, here, trunk), config=config,\n        split=how.split, begin=first"),
        ("trunk=_trunk_for(how, preset, here, trunk), config=config,\n        begin=first"),
        "test_split_flags::test_train_learns_from_just_that_split",
    ),
    Fault(
        "splits",
        "`train upscaler` ignores --split",
        "config=how.config(preset.config), split=how.split, begin=first",
        "config=how.config(preset.config), begin=first",
        "test_split_flags::test_train_learns_from_just_that_split",
    ),
    Fault(
        "splits",
        "`fit` ignores --split",
        "channel_map.fit(opened, split=split, progress=True)",
        "channel_map.fit(opened, progress=True)",
        "test_split_flags::test_fit_takes_just_that_split",
    ),
    Fault(
        "splits",
        "`fit` between latents ignores --split",
        "channel_map.fit_joined(joined, split, progress=True)",
        "channel_map.fit_joined(joined, progress=True)",
        "test_split_flags::test_fit_takes_just_that_split",
    ),
    Fault(
        "splits",
        "`evaluate` between latents scores every split",
        "joined, first, second, backs=backs, split=split, progress=True)",
        "joined, first, second, backs=backs, progress=True)",
        "test_split_flags::test_evaluate_between_latents_scores_just_that_split",
    ),
    Fault(
        "splits",
        "`evaluate` scores classes on every split",
        "frame = evaluate_palettes(compared, store, split=split, progress=True)",
        "frame = evaluate_palettes(compared, store, progress=True)",
        "test_split_flags::test_evaluate_scores_just_that_split",
    ),
    Fault(
        "splits",
        "copies of a picture are split by their files",
        ("        if sample.look:\n            looks.setdefault"),
        ("        if False:\n            looks.setdefault"),
        "test_perceptual_hash::test_a_copy_stands_on_its_originals_side",
    ),
    Fault(
        "splits",
        "a copy's own hash decides its side",
        "return self.group or self.sha256",
        "return self.sha256",
        "test_perceptual_hash::test_a_copy_stands_on_its_originals_side",
    ),
    Fault(
        "splits",
        "mirrored copies are not known",
        "for sign in (np.ones(N_WAVES, np.float32), _MIRROR):",
        "for sign in (np.ones(N_WAVES, np.float32),):",
        "test_perceptual_hash::test_a_copy_is_known",
    ),
    Fault(
        "splits",
        "copies of fitted pictures are scored",
        'near = are_near([sample.look or "" for sample in samples], looks)',
        'near = are_near([sample.look or "" for sample in samples], [])',
        "test_perceptual_hash::test_scores_leave_out_copies_of_what_a_map_was_fitted_on",
    ),
    Fault(
        "pairs",
        "crops of one picture share a key",
        "return hashlib.sha256(f\"{sha256}:{','.join(map(str, box))}\".encode()).hexdigest()",
        "return hashlib.sha256(sha256.encode()).hexdigest()",
        "test_collector::test_more_crops_later_adds_the_new_ones_only",
    ),
    Fault(
        "pairs",
        "edited shards are not noticed",
        "if _checksum(values) != shard.checksum:",
        "if False:",
        "test_store::test_a_value_that_was_edited_never_reaches_a_fit",
    ),
    Fault(
        "pairs",
        "stores of two VAEs are mixed",
        "if differences := first.differences(shard.origin):",
        'if differences := "":',
        "test_store::test_two_kinds_in_one_folder_are_refused",
    ),
    Fault(
        "pairs",
        "colours are read from 0 to 1.004",
        "tensor.float().div_(255)",
        "tensor.float().div_(254)",
        "test_store::test_what_is_written_comes_back test_collector::test_pairs_are_what_the_vae_gives",
    ),
    Fault(
        "pairs",
        "the decode is of latents that were not rounded as they are stored",
        "latents = given.half().float()",
        "latents = given.float()",
        "test_collector::test_pairs_are_what_the_vae_gives",
    ),
    Fault(
        "pairs",
        "only colours beyond the bounds count as clipped",
        "at_bounds = torch.cat([rgb <= 0, rgb >= 1], 1).float()",
        "at_bounds = torch.cat([rgb < 0, rgb > 1], 1).float()",
        "test_store::test_columns_are_computed_from_the_decode",
    ),
    Fault(
        "seeds",
        "a training step is not seeded",
        "torch.manual_seed((config.seed * 1_000_003 + state.seen_images) * 1_009 + parallel.rank())",
        "pass",
        "test_resumption",
    ),
    Fault(
        "seeds",
        "crops do not depend on the seed",
        ("draw = np.random.default_rng((self.seed, image))\n        sample"),
        ("draw = np.random.default_rng((0, image))\n        sample"),
        "test_training::test_crops_are_a_function_of_the_image_alone test_resumption",
    ),
    Fault(
        "seeds",
        "a resumed run forgets its means",
        '        self.means.load_state_dict(state.tensors["means"])\n',
        "",
        "test_resumption",
    ),
    Fault(
        "seeds",
        "a resumed run forgets its averaged weights",
        '        self.averaged.load_state_dict(state.tensors["averaged"])\n',
        "",
        "test_resumption",
    ),
    Fault(
        "seeds",
        "a resumed run forgets its optimiser",
        '        self.optimizer.load_state_dict(state.tensors["optimizer"])\n',
        "",
        "test_resumption",
    ),
    Fault(
        "seeds",
        "a resumed run forgets its adversary",
        '            self.plain(self.adversary).load_state_dict(state.tensors["adversary"])\n',
        "",
        "test_training::test_a_run_in_two_parts_is_a_run_in_one",
    ),
    Fault(
        "seeds",
        "weights are drawn from the process's numbers",
        ("torch.manual_seed(self.config.seed)\n            return make()"),
        "return make()",
        "test_held_out_decides_nothing::test_random_numbers_of_the_process_decide_nothing_either",
    ),
    Fault(
        "seeds",
        "crops of latent maps do not depend on the seed",
        ("draw = np.random.default_rng((self.seed, image))\n        pair"),
        ("draw = np.random.default_rng((0, image))\n        pair"),
        "test_latent_seeds",
    ),
    Fault(
        "training",
        "a run of other settings is gone on with",
        "    if differing:\n",
        "    if False:\n",
        "test_training::test_another_stores_run_is_not_taken_over",
    ),
    Fault(
        "training",
        "weights that are not finite are saved",
        "if not _finite(tensors):",
        "if False:",
        (
            "test_training::test_weights_that_a_step_spoilt_do_not_replace_good_ones "
            "test_training::test_nan_stops_the_run_and_keeps_the_checkpoint"
        ),
    ),
    Fault(
        "training",
        "losses look at rims that other cells would change",
        ("lines[: border * px] = 0"),
        ("pass"),
        "test_training::test_losses_leave_out_the_rims_that_are_not_the_pictures_own",
    ),
    Fault(
        "training",
        "batches of one step are added up",
        'accelerator.backward(losses["loss"] / len(batches))',
        'accelerator.backward(losses["loss"])',
        "test_steps",
    ),
    Fault(
        "training",
        "averaged weights are those of the last step",
        "kept = 0.5 ** (self.step_images / half_life) if self.config.ema_images else 0.0",
        "kept = 0.0",
        "test_steps",
    ),
    Fault(
        "training",
        "the adversary keeps the generator's gradients",
        ("set_rate(state.adversary_optimizer, rate)\n        state.adversary_optimizer.zero_grad()"),
        "set_rate(state.adversary_optimizer, rate)",
        "test_steps",
    ),
    Fault(
        "training",
        "time that is up leaves no checkpoint",
        "if last or time_is_up or time.monotonic()",
        "if last or time.monotonic()",
        "test_wall_time::test_a_step_is_made_however_little_time_there_is",
    ),
    Fault(
        "exports",
        "ComfyUI's rows are columns",
        (
            '        "    #   R           G           B",\n'
            '        rows(table.weights, "[", "]", "    "),\n'
            '        "]",\n'
            "    ]\n"
            '    bias = "None"'
        ),
        (
            '        "    #   R           G           B",\n'
            '        rows(table.weights.flip(1), "[", "]", "    "),\n'
            '        "]",\n'
            "    ]\n"
            '    bias = "None"'
        ),
        "test_programs::test_comfyui",
    ),
    Fault(
        "exports",
        "ComfyUI's hook pads with zeros",
        "({margin}, {margin}, {margin}, {margin}), mode='replicate')",
        "({margin}, {margin}, {margin}, {margin}))",
        "test_programs::test_comfyui",
    ),
    Fault(
        "exports",
        "the callback's bytes begin at 0",
        "return Table(self.weights * 127.5, self._bias() * 127.5 + 127.5, self.side)",
        "return Table(self.weights * 127.5, self._bias() * 127.5, self.side)",
        "test_programs::test_diffusers_callback_gives_the_same_bytes",
    ),
    Fault(
        "exports",
        "unit range is signed range",
        "return Table(self.weights / 2, self._bias() / 2 + 0.5, self.side)",
        "return Table(self.weights / 2, self._bias() / 2, self.side)",
        "test_programs::test_sdnext_is_a_convolution test_programs::test_conv2d_loads_into_an_nn_conv2d",
    ),
    Fault(
        "exports",
        "InvokeAI gets a table with its bias dropped",
        "if not polynomial(approximation, consumer, smooths=smooths).intercept:",
        "if True:",
        "test_programs::test_invokeai_and_a1111_take_the_bias_free_refit",
    ),
    Fault(
        "exports",
        "SD.Next's bias is forgotten",
        "bias = (zeros if table.bias is None else table.bias).tolist()",
        "bias = zeros.tolist()",
        "test_programs::test_sdnext_is_a_convolution",
    ),
    Fault(
        "exports",
        "stable-diffusion.cpp's bias is forgotten",
        "bias = (torch.zeros(3, dtype=torch.float64) if table.bias is None else table.bias).tolist()",
        "bias = torch.zeros(3, dtype=torch.float64).tolist()",
        "test_programs::test_stable_diffusion_cpp",
    ),
    Fault(
        "exports",
        "a JSON table of other terms is taken",
        "if document[key] != expected:",
        "if False:",
        "test_cli::test_a_json_table_that_means_something_else_is_refused",
    ),
    Fault(
        "exports",
        "a Conv2d's weights are signed",
        'table = linear_table(approximation, "an nn.Conv2d", largest_side=1 << 10).in_unit_range()',
        'table = linear_table(approximation, "an nn.Conv2d", largest_side=1 << 10)',
        "test_programs::test_conv2d_loads_into_an_nn_conv2d",
    ),
    Fault(
        "exports",
        "the callback takes a picture's height for its width",
        "rows, columns = height // (cell_px * patch), width // (cell_px * patch)",
        "rows, columns = width // (cell_px * patch), height // (cell_px * patch)",
        "test_programs_in_pipelines::test_every_layout_gives_the_first_picture",
    ),
    Fault(
        "security",
        "checkpoints of training are unpickled",
        "read = load_plainly(path, is_mapped=False)",
        'read = torch.load(path, map_location="cpu", weights_only=False)',
        "test_resumption",
    ),
    Fault(
        "security",
        "weights are unpickled",
        "weights_only=True, mmap=",
        "weights_only=False, mmap=",
        "test_files::test_pickles_are_refused_and_not_run",
    ),
    Fault(
        "security",
        "tables of arrays are unpickled",
        "np.load(path, allow_pickle=False)",
        "np.load(path, allow_pickle=True)",
        "test_resumption",
    ),
    Fault(
        "security",
        "arrays of anything but floats are read",
        'if dtype.kind != "f":',
        "if False:",
        "test_odd_latents::test_arrays_of_objects_are_never_unpickled",
    ),
    Fault(
        "security",
        "compressed torch files are unpacked",
        "if n_bytes > n_held or any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):",
        "if False:",
        "test_odd_weights::test_a_compressed_torch_file_is_refused",
    ),
    Fault(
        "security",
        "a pickle may make memory",
        "    if is_bomb:\n",
        "    if False:\n",
        "test_odd_weights::test_a_file_cannot_make_memory_that_it_does_not_hold",
    ),
    Fault(
        "security",
        "storages may be larger than their file",
        "if sum(storages.values()) > n_bytes:",
        "if False:",
        (
            "test_odd_weights::test_a_file_cannot_make_memory_that_it_does_not_hold "
            "test_odd_latents::test_a_sparse_tensor_that_claims_many_cells_is_refused"
        ),
    ),
    Fault(
        "security",
        "an .npy may claim what it does not hold",
        "if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize > n_bytes:",
        "if False:",
        "test_odd_latents::test_arrays_that_claim_more_than_their_file_are_refused",
    ),
    Fault(
        "security",
        "an .npz of zeros is unpacked",
        "if entry.file_size > _MOST_UNPACKED * max(entry.compress_size, 1 << 12):",
        "if False:",
        "test_odd_latents::test_an_npz_of_zeros_is_refused_before_it_is_unpacked",
    ),
    Fault(
        "whole files",
        "files are written in place",
        "os.replace(temporary, target)",
        "target.write_bytes(blob)",
        "test_parts test_sources::test_a_picture_is_written_whole_or_not_at_all",
    ),
    Fault(
        "whole files",
        "half-written files stay",
        ("        Path(temporary).unlink(missing_ok=True)\n        raise"),
        "        raise",
        (
            "test_store::test_a_shard_that_cannot_be_written_leaves_nothing "
            "test_sources::test_a_picture_is_written_whole_or_not_at_all"
        ),
    ),
    Fault(
        "whole files",
        "another process's files are cleared away",
        "if found is None or not _is_stale(found, time.time() - path.stat().st_mtime):",
        "if found is None:",
        "test_parts",
    ),
    Fault(
        "scores",
        "a difference's interval is of unpaired pictures",
        "low, high = np.percentile(differences[drawn].mean(1), [tail, 100 - tail])",
        "low, high = np.percentile(one[drawn].mean(1) - other[drawn[::-1]].mean(1), [tail, 100 - tail])",
        "test_paired",
    ),
    Fault(
        "scores",
        "a lower score never wins",
        "better = -differences if lower_is_better else differences",
        "better = differences",
        "test_paired",
    ),
    Fault(
        "scores",
        "crops of a picture count apart",
        'wide = rows.pivot_table(index="image"',
        'wide = rows.pivot_table(index="sample"',
        "test_paired::test_crops_of_a_picture_count_once_and_pooled_rows_do_not",
    ),
    Fault(
        "scores",
        "a table is wrong when it is unsuited to photographs",
        'wrong = "wrong: " if len(kinds) == len(KINDS) else ""',
        'wrong = "wrong: "',
        "test_verdicts",
    ),
    Fault(
        "scores",
        "a bounded fit that did not converge says nothing",
        'if card.get("converged") is False:',
        "if False:",
        "test_bounded_evidence",
    ),
    Fault(
        "escaping",
        "ComfyUI's program has a name's line breaks",
        'escape = escaping.python_comment if prefix == "#" else escaping.c_comment',
        'escape = str if prefix == "#" else escaping.c_comment',
        "test_hostile_text::test_python_has_the_syntax_tree_of_a_harmless_name",
    ),
    Fault(
        "escaping",
        "a space's class is written as it is",
        "where = python_comment(space.comfy_class) if space.comfy_class",
        "where = space.comfy_class if space.comfy_class",
        "test_hostile_text::test_python_has_the_syntax_tree_of_a_harmless_name",
    ),
    Fault(
        "escaping",
        "C++ gets comments of Python",
        'escape = escaping.python_comment if prefix == "#" else escaping.c_comment',
        "escape = escaping.python_comment",
        "test_hostile_text::test_compiled_programs_hold_it_in_comments_alone",
    ),
    Fault(
        "escaping",
        "a spreadsheet computes names",
        'return f"\'{said}" if said.lstrip',
        "return said if said.lstrip",
        "test_hostile_text::test_a_spreadsheet_computes_nothing",
    ),
    Fault(
        "escaping",
        "a page's caption is markup",
        "words = escaping.html(caption)",
        "words = caption",
        "test_escaped_text",
    ),
    Fault(
        "escaping",
        "lines of the terminal obey escape sequences",
        'return "".join(c if c in "\\n\\t" else _visible(c) for c in text)',
        "return text",
        "test_escaped_text",
    ),
    Fault(
        "escaping",
        "commands say what comes as it is",
        'print(lines(" ".join(map(str, parts))), flush=True)',
        'print(" ".join(map(str, parts)), flush=True)',
        "test_escaped_text",
    ),
    Fault(
        "escaping",
        "`collect` prints names of pictures as they are",
        "print(lines(str(total)))",
        "print(str(total))",
        "test_escaped_text",
    ),
    Fault(
        "escaping",
        "a table's cells are markup",
        "return escaping.html(str(value))",
        "return str(value)",
        "test_escaped_text",
    ),
    Fault(
        "headers",
        "a header's fields are not checked",
        "made: dict[str, Any] = _fields(header)(header, where)",
        "made: dict[str, Any] = dict(header)",
        "test_fuzz::test_a_wrong_field_is_named",
    ),
    Fault(
        "headers",
        "a network is not compared with its file's tensors",
        ('    _check_tensors(made["kind"], made["config"], where, tensors)\n    return made'),
        "    return made",
        (
            "test_fuzz::test_a_network_larger_than_its_file_is_never_built "
            "test_fuzz::test_other_tensors_than_the_headers_are_named"
        ),
    ),
    Fault(
        "headers",
        "a space's fields are not checked",
        "fields: dict[str, Any] = _ENTRY(entry, where)",
        "fields: dict[str, Any] = dict(entry)",
        "test_fuzz::test_a_space_and_a_palette_of_a_file",
    ),
    Fault(
        "headers",
        "a shard's keys need not be its pictures'",
        "or any(dtypes[name] not in _DTYPES[name] for name in dtypes) or not is_keyed:",
        "or any(dtypes[name] not in _DTYPES[name] for name in dtypes):",
        "test_store::test_headers_that_lie_are_refused_when_the_store_is_opened",
    ),
    Fault(
        "weights",
        "fp8 is not cast",
        "return tensor.to(torch.float32)\n",
        "return tensor\n",
        "test_odd_weights::test_the_fp8_decoder_decodes_as_its_values_in_float32",
    ),
    Fault(
        "weights",
        "sparse tensors are let through",
        "if tensor.layout != torch.strided:",
        "if False:",
        "test_odd_weights::test_odd_tensors_are_refused_by_name",
    ),
    Fault(
        "weights",
        "expanded tensors are let through",
        "if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():",
        "if False:",
        "test_odd_weights::test_odd_tensors_are_refused_by_name",
    ),
    Fault(
        "weights",
        "quantised weights are read without their scales",
        "if telling is not None:",
        "if False:",
        "test_odd_weights::test_quantised_weights_with_scales_beside_them_are_named",
    ),
    Fault(
        "weights",
        "an odd file takes a node's list down",
        "except Exception as error:  # noqa: BLE001 - one odd file must not",
        "except BadFileError as error:  # one odd file must not",
        (
            "test_odd_files::test_whatever_a_reader_raises_the_lists_stand "
            "test_odd_files::test_one_odd_file_takes_no_node_down"
        ),
    ),
    Fault(
        "weights",
        "a VAE's padding is not in its fingerprint",
        "self.fingerprint = fingerprint_of(network, departures(part, is_own_space=space.normalised_by_vae))",
        "self.fingerprint = fingerprint_of(network, [])",
        "test_autoencoders::test_what_changes_the_output_changes_the_fingerprint",
    ),
    Fault(
        "held out",
        "a decoder's closed form sees all pictures",
        "hold_skip(network, (lambda: form.fit(run.store, split=split).module_) if run.is_new",
        'hold_skip(network, (lambda: form.fit(run.store, split="all").module_) if run.is_new',
        "test_held_out_decides_nothing::test_with_other_pictures_held_out_the_map_is_the_same",
    ),
    Fault(
        "held out",
        "a latent map's closed form sees all pictures",
        "channel_map.fit_joined(joined, split).module_",
        'channel_map.fit_joined(joined, "all").module_',
        "test_held_out_decides_nothing::test_with_other_pictures_held_out_the_map_is_the_same",
    ),
    Fault(
        "held out",
        "a last convolution is solved on all pictures",
        "pairs = [pair for pair in joined.split(split) if weights",
        'pairs = [pair for pair in joined.split("all") if weights',
        "test_held_out_decides_nothing::test_with_other_pictures_held_out_the_map_is_the_same",
    ),
    Fault(
        "held out",
        "a latent map learns from all pictures",
        "among = joined.split(split)",
        'among = joined.split("all")',
        "test_held_out_decides_nothing::test_with_other_pictures_held_out_the_map_is_the_same",
    ),
    Fault(
        "held out",
        "a palettized decoder learns from all pictures",
        "wanted = list(store.split(split) if samples is None else samples)",
        "wanted = list(store.samples if samples is None else samples)",
        "test_held_out_decides_nothing::test_with_other_pictures_held_out_the_map_is_the_same",
    ),
    Fault(
        "held out",
        "a fit between latents takes all pictures",
        "chosen = list(joined.split(split) if pairs is None else pairs)",
        "chosen = list(joined.pairs if pairs is None else pairs)",
        "test_held_out_decides_nothing::test_with_other_pictures_held_out_the_map_is_the_same",
    ),
    Fault(
        "flags",
        "`collect` ignores --crops",
        "out, size=size, keep=keep, crops=crops, limit=limit, domain=domain)",
        "out, size=size, keep=keep, limit=limit, domain=domain)",
        "test_flags_arrive",
    ),
    Fault(
        "flags",
        "`collect` ignores --random-scales",
        "scales, n_random=random_scales, size=size",
        "scales, size=size",
        "test_flags_arrive",
    ),
    Fault(
        "flags",
        "`train` ignores --seed",
        ("            seed=self.seed,\n            sample"),
        "            sample",
        "test_flags_arrive",
    ),
    Fault(
        "flags",
        "`train` ignores --precision",
        "precision=self.precision or preset.precision,",
        "precision=preset.precision,",
        "test_flags_arrive",
    ),
    Fault(
        "flags",
        "`fit` ignores --ridge",
        "sides, 1 if scale is None else scale, intercept, ridge, censored, smoothing=smooths,",
        "sides, 1 if scale is None else scale, intercept, None, censored, smoothing=smooths,",
        "test_flags_arrive",
    ),
    Fault(
        "flags",
        "`report` ignores --split",
        "n_pictures=pictures, split=split, progress=True)",
        "n_pictures=pictures, progress=True)",
        "test_flags_arrive",
    ),
    Fault(
        "flags",
        "`decode` ignores --enlarge",
        "say(save_png(picture, path, enlarge=enlarge))",
        "say(save_png(picture, path))",
        "test_cli::test_decode_gives_the_map_s_pixels",
    ),
    Fault(
        "printing",
        "what an encoding lacks is an error",
        'stream.reconfigure(errors="latentfit-plain")',
        "pass",
        "test_printing::test_every_help_prints test_printing::test_small_encodings_get_plain_signs",
    ),
    Fault(
        "printing",
        "tables are shown before they are written",
        ("written = None if csv is None else write_csv(frame, csv)\n    say(said)\n"),
        ("say(said)\n    written = None if csv is None else write_csv(frame, csv)\n"),
        "test_printing::test_files_are_written_before_anything_is_shown",
    ),
    Fault(
        "clocks",
        "autofit does not look at its clock",
        "return max(0.0, 60 * self.minutes * share - (self.now() - self._started))",
        "return 60 * self.minutes * share",
        "test_autofit::test_on_a_machine_that_became_busy_it_ends_in_time_and_says_what_it_left_out",
    ),
    Fault(
        "clocks",
        "scores go on when autofit's time is up",
        "progress=True, until=lambda: clock.now() >= end)",
        "progress=True)",
        "test_autofit::test_on_a_machine_that_became_busy_it_ends_in_time_and_says_what_it_left_out",
    ),
    Fault(
        "clocks",
        "notebooks begin anew",
        "done = [] if options.refresh else [job for job in jobs if job.recall()]",
        "done = list[Job]()",
        "test_notebook_runs::test_it_goes_on_with_what_is_not_done_and_changes_nothing_else",
    ),
    Fault(
        "clocks",
        "a notebook of other code counts as done",
        'if told["key"] != self.key:',
        "if False:",
        "test_notebook_runs::test_it_goes_on_with_what_is_not_done_and_changes_nothing_else",
    ),
    Fault(
        "previews",
        "a panorama's views are added up",
        "return total / self._counts(self.estimates)",
        "return total",
        "test_preview_pipelines::test_the_stitched_picture_is_the_mean_of_its_views",
    ),
    Fault(
        "previews",
        "v is taken for noise",
        "return level.alpha * sample - level.sigma * predicted",
        "return (sample - level.sigma * predicted) / level.alpha",
        "test_x0::test_every_preview_is_the_x0_that_the_denoiser_knows",
    ),
    Fault(
        "previews",
        "a flow's sigmas are never inverted",
        'if self._scheduler.config.get("invert_sigmas"):',
        "if False:",
        "test_x0::test_inverted_sigmas_are_the_share_of_x0",
    ),
)
