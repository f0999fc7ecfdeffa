# SPDX-License-Identifier: MIT
"""Compares a model in build/model with transformers: the tokens of texts, and their embeddings.

    model.py <program> <model> <folder>

The program is encodes.cpp. Texts are sentences, the characters of all of Unicode, and random ones of 1 to 512 tokens.
"""

import pathlib
import random
import subprocess
import sys
import unicodedata

import numpy as np
import torch
from transformers import BertConfig, BertModel, BertTokenizer

SENTENCES = """A dog runs in the park.
The quick brown fox jumps over the lazy dog, doesn't it?
UNAFFABLE embeddings: tokenization & pre-processing (v2.0) cost $3.50!
Ärger über Ñandú — ÇA VA; Ångström, naïve façade, Łódź, İstanbul, ΣΊΣΥΦΟΣ, straße STRASSE ẞ.
Привет, мир! Ёлка. Γειά σου Κόσμε. שָׁלוֹם עולם. مَرْحَبًا بالعالم.
東京は日本の首都です。 中文分词测试,繁體中文。 한국어 문장입니다. ひらがなカタカナ ガギグ
नमस्ते दुनिया। สวัสดีชาวโลก বাংলা தமிழ் ನಮಸ್ಕಾರ Tiếng Việt rất đẹp.
😀😃 👨‍👩‍👧‍👦 🇩🇪 ✓ ½ ² ㎏ ﬁ Å Å K Ⅷ ① …
http://example.com/a_b?c=d&e=f#g user@example.org C++20 #hashtag 1,234.56 3/4 10^6 <b>bold</b>
supercalifragilisticexpialidocious pneumonoultramicroscopicsilicovolcanoconiosis""".split("\n")


def texts(tokenizer):
    """Returns the texts of which only the tokens are compared, and those whose embeddings are compared too."""
    rng = random.Random(5)
    odd = ["", " ", "\t\n", "\x00", "a" * 100, "a" * 101, "a" * 10000, "é" * 100 + " x", "\u0301", "a\u0301\u0327b"]
    odd += ["\u4e00" * 700, "- " * 600, "\u2028x\u2029y\u0085z", "\ufffd x \u200b y \u00ad z", "##ing un ##able"]
    codes = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    odd += ["x" + "y ".join(map(chr, codes[i : i + 60])) for i in range(0, 0x30000, 60)]
    odd += ["x" + "y ".join(map(chr, codes[i : i + 60])) for i in range(0x30000, len(codes), 6000)]
    letters = [c for c in codes if c < 0x3000 and unicodedata.category(chr(c))[0] in "LMNPSZ"]
    odd += ["".join(chr(rng.choice(letters)) for _ in range(rng.randint(1, 60))) for _ in range(3000)]
    words = [word for word in tokenizer.get_vocab() if word.isalpha()]
    random_texts = []
    for length in [*range(1, 21), *rng.sample(range(21, 512), 165), 510, 511, 512, 600, 700]:
        text = " ".join(rng.choice(words) for _ in range(max(0, length - 2)))
        random_texts.append(text[:1].upper() + text[1:] + rng.choice(["", ".", "?"]))
    return odd, SENTENCES + random_texts


def write(path, batch):
    path.write_bytes(b"".join(b"%d\n%b" % (len(t), t) for t in (text.encode() for text in batch)))


def run(program, model, folder, batch, *options):
    """Returns the ids of texts. Their embeddings, unless `ids` is an option, are in the folder."""
    write(folder / "texts", batch)
    subprocess.run([program, model, folder / "texts", folder, *options], check=True)
    ids, lengths = np.load(folder / "ids.npy"), np.load(folder / "lengths.npy")
    return np.split(ids, lengths.cumsum()[:-1])


def main(program, model, folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = BertTokenizer.from_pretrained(model)
    odd, batch = texts(tokenizer)
    ids = run(program, model, folder, odd, "ids") + run(program, model, folder, batch)
    embeddings = np.load(folder / "embeddings.npy")
    wrong = 0
    for text, got in zip(odd + batch, ids):
        expected = tokenizer(text, truncation=True, max_length=512)["input_ids"]
        if got.tolist() != expected:
            wrong += 1
            if wrong <= 10:
                print("tokens differ:", ascii(text[:200]), tokenizer.convert_ids_to_tokens(got)[:30],
                      tokenizer.convert_ids_to_tokens(expected)[:30])
    print(f"tokens: {len(ids)} texts, {wrong} differ")

    config = BertConfig.from_pretrained(model, attn_implementation="eager")
    reference = BertModel.from_pretrained(model, config=config).eval()
    deviation, cosine, lengths = 0.0, 1.0, []
    with torch.no_grad():
        for text, got in zip(batch, embeddings):
            tokens = tokenizer(text, truncation=True, max_length=512, return_tensors="pt")
            mean = reference(**tokens).last_hidden_state[0].mean(0)
            expected = (mean / mean.norm()).numpy()
            lengths.append(tokens["input_ids"].shape[1])
            deviation = max(deviation, float(np.abs(got - expected).max()))
            cosine = min(cosine, float(got @ expected))
    print(f"embeddings: {len(batch)} texts of {min(lengths)} to {max(lengths)} tokens, largest difference "
          f"{deviation:.2g}, smallest cosine {cosine:.7f}")
    same = (folder / "copy.safetensors").read_bytes() == pathlib.Path(model, "model.safetensors").read_bytes()
    print(f"saved file: {'the same bytes' if same else 'OTHER BYTES'}")
    sys.exit(bool(wrong or deviation > 1e-5 or not same))


if __name__ == "__main__":
    main(*sys.argv[1:])
