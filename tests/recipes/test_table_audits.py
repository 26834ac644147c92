"""The block of spaces that were scored on photographs alone says what their audits say, and stays in its place."""

import pandas as pd

from recipes.cards.table_audits import audit_table, cost_table, with_audits


def audit(references: tuple[str, ...]) -> pd.DataFrame:
    rows = [
        {
            "approximation": name, "image": "all", "kind": "all", "place": place, "reference": reference,
            "psnr": psnr + (reference == "photo") - (place == "seen"), "n_images": 40, "verdict": verdict,
        }
        for name, psnr, verdict in (("their/table", 18.0, "unsuited to x"), ("ours: affine", 21.5, None))
        for reference in references
        for place in ("cells", "seen")
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_a_ranking_has_both_references_or_the_photographs_alone() -> None:
    both = audit_table("sd3", audit(("vae", "photo"))).splitlines()
    assert both[2] == "| dB at the cells (40 photographs) | to the VAE's decode | to the photographs | verdict |"
    assert both[4] == "| **ours: affine** | 21.50 | 22.50 |  |"
    assert both[5] == "| their/table | 18.00 | 19.00 | unsuited to x |"
    alone = audit_table("sana_dcae", audit(("photo",)))
    assert "| **ours: affine** | 22.50 |  |" in alone
    assert "Its decoder cannot be had" in alone


def test_the_cost_is_of_the_place_that_a_form_is_used_at() -> None:
    values = {("vae", "vae"): 25.0, ("vae", "photo"): 24.0, ("photo", "vae"): 22.0, ("photo", "photo"): 23.0}
    rows = [
        {"space": "sd1", "form": form, "fitted_to": fitted, "reference": reference, "place": place,
         "psnr": value - (place == "seen")}
        for form in ("affine", "1_decoder")
        for (reference, fitted), value in values.items()
        for place in ("cells", "seen")
    ]  # fmt: skip
    lines = cost_table(pd.DataFrame(rows)).splitlines()
    assert lines[-2] == "| SD1: affine | 25.00 | 24.00 | 22.00 | 23.00 |"
    assert lines[-1] == "| SD1: 1_decoder | 24.00 | 23.00 | 21.00 | 22.00 |"


def test_the_block_keeps_its_place() -> None:
    card = "# Tables\n\nsome\n\n<!-- kinds -->\nold\n<!-- /kinds -->\n"
    once = with_audits(card, "first")
    assert (
        once == "# Tables\n\nsome\n\n<!-- audits -->\nfirst\n<!-- /audits -->\n\n<!-- kinds -->\nold\n<!-- /kinds -->\n"
    )
    assert with_audits(once, "second") == once.replace("first", "second")
