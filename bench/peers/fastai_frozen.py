"""fastai as its book has it: `vision_learner`, frozen, `fit_one_cycle(5)`.

    bench/peers/.venv/bin/python bench/peers/fastai_frozen.py split.csv

The network is timm's EfficientNet-Lite0 with the weights that regraft comes with. Everything else
is fastai's default or from its vision tutorial: the head (two layers), presizing and augmentation,
learning rate, a look at the test rows after each epoch. The trunk is frozen as fastai freezes: its
batch norm is trained along.
"""

import time

import pandas as pd
from fastai.vision.all import (
    ImageDataLoaders,
    Learner,
    Normalize,
    Resize,
    accuracy,
    aug_transforms,
    set_seed,
    vision_learner,
)
from task import BATCH, EPOCHS, MEAN, SEED, STD, WORKERS, Rows, pretrained, read_split, report


def main() -> None:
    set_seed(SEED, reproducible=True)
    train, test = read_split()
    start = time.perf_counter()
    learner = frozen_learner(batches(train, test))
    with learner.no_bar(), learner.no_logging():
        learner.fit_one_cycle(EPOCHS)
    work = time.perf_counter() - start
    report(
        "fastai",
        right=round(learner.recorder.final_record[-1] * len(test)),
        train=train,
        test=test,
        work=work,
        packages="fastai torch torchvision timm",
    )


def batches(train: Rows, test: Rows) -> ImageDataLoaders:
    """Return loaders with fastai's usual resizing and augmentation; the test rows validate."""
    table = pd.DataFrame([*train, *test], columns=["path", "label"])
    table["test"] = [False] * len(train) + [True] * len(test)
    return ImageDataLoaders.from_df(
        table,
        path="/",
        valid_col="test",
        item_tfms=Resize(460),
        batch_tfms=[*aug_transforms(size=224), Normalize.from_stats(MEAN, STD)],
        bs=BATCH,
        num_workers=WORKERS,
    )


def frozen_learner(loaders: ImageDataLoaders) -> Learner:
    """Return fastai's own learner, the weights of its body replaced by the bundled ones."""
    learner = vision_learner(
        loaders, "tf_efficientnet_lite0", pretrained=False, normalize=False, metrics=accuracy
    )
    body = learner.model[0].model
    given = pretrained().state_dict()
    body.load_state_dict({name: given[name] for name in body.state_dict()})
    learner.freeze()  # done by vision_learner itself only where it loads the weights
    return learner


if __name__ == "__main__":
    main()
