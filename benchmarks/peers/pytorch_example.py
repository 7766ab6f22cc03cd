"""PyTorch's introductory loop: ToTensor per image, and a DataLoader."""

import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

import worker


def network() -> nn.Sequential:
    """The notebook's network, with PyTorch's default memory format and initialisation."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(64, 64, 4),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Flatten(),
        nn.Linear(64, 64),
        nn.Sigmoid(),
        nn.Linear(64, 10),
        nn.LogSoftmax(dim=1),
    )


def dataset(*, train: bool) -> datasets.MNIST:
    found = datasets.MNIST(worker.DATA_DIR, train=train, transform=transforms.ToTensor())
    found.data, found.targets = found.data[: worker.IMAGES], found.targets[: worker.IMAGES]
    return found


def main() -> None:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    loader = DataLoader(dataset(train=True), batch_size=32, shuffle=True)
    model = network().to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, eps=1e-7)

    def epoch() -> None:
        model.train()
        for step, (images, labels) in enumerate(loader):
            images, labels = images.to(device), labels.to(device)
            optimizer.zero_grad()
            loss = functional.nll_loss(model(images), labels)
            loss.backward()
            optimizer.step()
            if step % 100 == 0:
                print(f"step {step} loss {loss.item():.4f}")

    def accuracy() -> float:
        model.eval()
        correct = 0
        with torch.no_grad():
            for images, labels in DataLoader(dataset(train=False), batch_size=1000):
                answers = model(images.to(device)).argmax(1)
                correct += int((answers == labels.to(device)).sum())
        return correct / 10_000

    worker.race(epoch, accuracy)


if __name__ == "__main__":
    main()
