"""The menu of losses: each variant has what it names and nothing of the base's own losses."""

from vlmrec.models.vlm2rec import VLM2Rec
from vlmrec.objectives.unimodal_heads import UnimodalHeads
from vlmrec.objectives.wpcl import Wpcl
from vlmrec.pipeline.branch_losses import branch_losses, branches_alone, with_losses

LOSSES = ("wpcl", "crtr", "heads", "modality_dropout", "modulation")


def test_variants_differ_in_what_they_name_and_in_nothing_else():
    base = VLM2Rec(wpcl=Wpcl(kappa=0.2), heads=UnimodalHeads(), max_len=3)
    menu = branch_losses(Wpcl(kappa=0.7)) | branches_alone()
    specs = with_losses(base, menu)
    assert list(specs) == list(menu)
    for name, spec in specs.items():
        has = {loss for loss in LOSSES if getattr(spec, loss) is not None}
        assert has == set(menu[name]) & set(LOSSES)
        assert spec.max_len == 3
        assert spec.inputs == menu[name].get("inputs", "both")
    assert specs["WPCL"].wpcl == specs["WPCL + CRTR"].wpcl == Wpcl(kappa=0.7)
