"""What CONTRIBUTING.md tells to write works as it stands there."""

import re
from pathlib import Path

import tiny

TEXT = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text()


def test_the_recipes_run(tmp_path, monkeypatch):
    blocks = dict.fromkeys(("python", "toml"), ())
    for language, block in re.findall(r"```(python|toml)\n(.*?)```", TEXT, re.S):
        blocks[language] += (block,)
    monkeypatch.chdir(tmp_path)
    model = tiny.tiny_net(seed=1)
    model.save("mine.keras")
    Path("experiment.toml").write_text("\n".join(blocks["toml"]))
    names = {"model": model, "__name__": "recipes"}
    for block in blocks["python"]:
        exec(block, names)
    assert names["contrast"]["objective"].item() == "Contrast(layer=conv) + 0.1 * conv 1"
    assert bool(names["contrast"]["done"].all())
    assert names["gray"]["display"].shape[-3:] == model.input_shape[1:]
    assert names["colours"].dims == ("unit", "tv_weight", "lp_weight", "seed")
    assert names["first"].equals(names["happy"])
