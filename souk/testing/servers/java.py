"""How a server of Java is started for tests: with little memory, and without the compiler that pays off late."""

from pathlib import Path

from souk.testing.engines import engine_path


def java_command(engine: str, heap: str, main: str, *arguments: str, folder: Path) -> tuple[str, ...]:
    """Makes the command that runs the class `main` of an engine; words that begin with -D or -X go to Java itself.

    Skips the test, with the reason, when the engine is not on this machine.
    """
    jars = Path(engine_path(engine))
    options = tuple(word for word in arguments if word.startswith(("-D", "-X")))
    return (
        str(jars.parent / "jdk" / "bin" / "java"),
        *(f"-Xms{heap}", f"-Xmx{heap}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"),
        *(f"-Djava.io.tmpdir={folder}", "-Djava.net.preferIPv4Stack=true", *options),
        *("-cp", f"{jars}/*", main),
        *(word for word in arguments if word not in options),
    )
