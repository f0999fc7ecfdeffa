# SPDX-License-Identifier: MIT
"""scikit-learn: sparse_encode and the update of atoms of DictionaryLearning

Seed 29; samples 24×12 and a dictionary of 20 atoms of length 1, in double. `lasso_cd`, `lasso_positive` and
`lasso_lars` are sparse_encode with alpha = 0.3 (tol 1e-14 for coordinate descent), `omp` has 4 codes for each sample,
`omp_tolerance` a squared residual of at most 1, and `threshold` alpha = 0.3. `atoms` is the dictionary after one call of
`_update_dict` with the codes of `lasso_cd`, with rows scaled to length 1.
"""

import numpy as np
from sklearn.decomposition import _dict_learning, sparse_encode
from sklearn.linear_model import Lasso, orthogonal_mp_gram

from references.common import normal


def write(fixture):
    rng = np.random.default_rng(29)
    x = normal(rng, 24, 12).astype(np.float64)
    atoms = normal(rng, 20, 12).astype(np.float64)
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)

    def lasso(positive):
        model = Lasso(alpha=0.3 / 12, fit_intercept=False, tol=1e-14, max_iter=1000000, positive=positive)
        return model.fit(atoms.T, x.T).coef_

    codes = lasso(False)
    updated = np.asfortranarray(atoms.T).T.copy()
    _dict_learning._update_dict(updated, x, codes.copy(), random_state=np.random.RandomState(0))
    used = np.abs(codes).sum(axis=0) > 0
    assert used.all()
    fixture.save(
        samples=x,
        dictionary=atoms,
        lasso_cd=codes,
        lasso_positive=lasso(True),
        lasso_lars=sparse_encode(x, atoms, algorithm="lasso_lars", alpha=0.3),
        omp=sparse_encode(x, atoms, algorithm="omp", n_nonzero_coefs=4),
        omp_tolerance=orthogonal_mp_gram(
            atoms @ atoms.T, atoms @ x.T, tol=1.0, norms_squared=(x**2).sum(axis=1)
        ).T,
        threshold=sparse_encode(x, atoms, algorithm="threshold", alpha=0.3),
        atoms=updated / np.linalg.norm(updated, axis=1, keepdims=True),
    )
