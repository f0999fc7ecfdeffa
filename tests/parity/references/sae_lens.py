# SPDX-License-Identifier: MIT
"""directories that SAELens writes, and its results for them

Seed 31; 12 samples x of width 10, 24 latents. Each case is a directory with `cfg.json` and `sae_weights.safetensors`, as
SAELens saves it. `codes` and `output` are its results in double after it has loaded the directory. Cases by
architecture: `standard`, `standard_bare` (apply_b_dec_to_input false), `standard_bfloat16` (weights in bfloat16),
`topk` (k = 4), `topk_rescaled` (k = 4, rescale_acts_by_decoder_norm), `jumprelu`, `gated`, `skip_transcoder` (outputs of
width 7).

`topk_old` has the cfg.json of a version before 6, with activation_fn_str and activation_fn_kwargs, which the script
writes. The same SAELens loads it.
"""

import json

import numpy as np
import torch
from sae_lens import SAE
from sae_lens.registry import get_sae_class
from sae_lens.saes.sae import SAEMetadata

from references.autoencoder import apart, latents, samples, width
from references.common import double, normal

metadata = {
    "model_name": "none",
    "hook_name": "blocks.3.hook_resid_pre",
    "dataset": "naïve",
    "rate": 1e-05,
    "model_from_pretrained_kwargs": {},
}
old = {
    "architecture": "standard",
    "d_in": width,
    "d_sae": latents,
    "dtype": "torch.float32",
    "device": "cpu",
    "model_name": "none",
    "hook_name": "blocks.3.hook_resid_pre",
    "hook_layer": 3,
    "hook_head_index": None,
    "activation_fn_str": "topk",
    "activation_fn_kwargs": {"k": 4},
    "apply_b_dec_to_input": True,
    "finetuning_scaling_factor": False,
    "sae_lens_training_version": "3.22.2",
    "prepend_bos": True,
    "dataset_path": "none",
    "context_size": 128,
    "normalize_activations": "none",
}


def model(rng, architecture, **options):
    """Returns a model of that architecture with seeded weights."""
    kind, config = get_sae_class(architecture)
    sae = kind(config(d_in=width, d_sae=latents, metadata=SAEMetadata(**metadata), **options))
    for name, parameter in sae.named_parameters():
        array = normal(rng, *parameter.shape, scale=0.5)
        parameter.data = torch.from_numpy(np.abs(array) if name == "threshold" else array).to(parameter.dtype)
    return sae


def results(folder, x):
    """Returns the codes and outputs that SAELens computes from a directory."""
    sae = SAE.load_from_disk(folder).to(torch.float64)
    with torch.no_grad():
        codes = sae.encode(x)
        z = x - sae.b_dec if sae.cfg.apply_b_dec_to_input else x
        z = z @ sae.W_enc + (sae.b_gate if sae.b_enc is None else sae.b_enc)
        apart(z - getattr(sae, "threshold", 0))
        if hasattr(sae.cfg, "k"):
            z = z * sae.W_dec.norm(dim=1) if sae.cfg.rescale_acts_by_decoder_norm else z
            ranked = z.topk(sae.cfg.k + 1, dim=1).values
            apart(ranked[:, -2] - ranked[:, -1])
        return {"codes": codes.numpy(), "output": sae(x).numpy()}


def write(fixture):
    rng = np.random.default_rng(31)
    x = normal(rng, samples, width)
    fixture.save(x=x)
    cases = {
        "standard": model(rng, "standard"),
        "standard_bare": model(rng, "standard", apply_b_dec_to_input=False),
        "standard_bfloat16": model(rng, "standard", dtype="bfloat16"),
        "topk": model(rng, "topk", k=4),
        "topk_rescaled": model(rng, "topk", k=4, rescale_acts_by_decoder_norm=True),
        "topk_old": model(rng, "topk", k=4),
        "jumprelu": model(rng, "jumprelu"),
        "gated": model(rng, "gated"),
        "skip_transcoder": model(rng, "skip_transcoder", d_out=7, apply_b_dec_to_input=False),
    }
    for name, sae in cases.items():
        folder = fixture.folder / name
        sae.save_model(folder)
        if name == "topk_old":
            (folder / "cfg.json").write_text(json.dumps(old))
        fixture.save(name, **results(folder, double(x)))
