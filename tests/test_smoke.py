from conftest import SHORT, Command
def test_fit(command: Command) -> None:
    a = command("fit", *SHORT, "--trainer.max_epochs", 2)
    print(a)
    assert a.code == 0 and a.err == ""
    b = command("test")
    assert b.code == 0
