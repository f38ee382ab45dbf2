"""asyncssh through the gateway: asyncssh_client.py PORT ROLE KEY KNOWN_HOSTS."""

import asyncio
import os
import sys
import tempfile

import asyncssh

port, role, key, known_hosts = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]


async def main():
    options = dict(username=role, client_keys=[key], known_hosts=known_hosts, agent_path=None, config=None)
    async with asyncssh.connect("127.0.0.1", port, **options) as connection:
        run = await connection.run("echo out; echo err >&2; exit 5")
        assert (run.stdout, run.stderr, run.exit_status) == ("out\n", "err\n", 5)
        run = await connection.run("kill -TERM $$")
        assert run.exit_signal and run.exit_signal[0] == "TERM", run
        print("exec")

        run = await connection.run("stty size", term_type="xterm", term_size=(90, 20))
        assert "20 90" in run.stdout, run.stdout
        print("terminal")

        content = os.urandom(3_000_000)
        run = await connection.run("cat", input=content, encoding=None)
        assert run.stdout == content
        print("pipe")

        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "file")
            async with connection.start_sftp_client() as sftp:
                async with sftp.open(path, "wb") as file:
                    await file.write(content)
                async with sftp.open(path, "rb") as file:
                    assert await file.read() == content
                assert (await sftp.stat(path)).size == len(content)
                await sftp.remove(path)
        print("sftp")

        runs = await asyncio.gather(*(connection.run(f"echo {number}") for number in range(10)))
        assert [run.stdout for run in runs] == [f"{number}\n" for number in range(10)]
        print("channels")
    print("all done")


asyncio.run(main())
