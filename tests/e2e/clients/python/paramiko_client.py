"""paramiko through the gateway: paramiko_client.py PORT ROLE KEY KNOWN_HOSTS."""

import io
import os
import sys
import tempfile

import paramiko

port, role, key, known_hosts = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]

client = paramiko.SSHClient()
client.load_host_keys(known_hosts)
client.connect("127.0.0.1", port, role, key_filename=key, allow_agent=False, look_for_keys=False)

_, out, err = client.exec_command("echo out; echo err >&2; exit 5")
assert out.read() == b"out\n" and err.read() == b"err\n"
assert out.channel.recv_exit_status() == 5
print("exec")

channel = client.invoke_shell(width=100, height=30)
channel.sendall(b"stty size; exit\n")
seen = b""
while True:
    piece = channel.recv(4096)
    if not piece:
        break
    seen += piece
assert b"30 100" in seen, seen
print("shell")

content = os.urandom(3_000_000)
with tempfile.TemporaryDirectory() as folder, client.open_sftp() as sftp:
    path = os.path.join(folder, "file")
    sftp.putfo(io.BytesIO(content), path)
    assert sftp.stat(path).st_size == len(content)
    back = io.BytesIO()
    sftp.getfo(path, back)
    assert back.getvalue() == content
    sftp.rename(path, path + "2")
    assert sftp.listdir(folder) == ["file2"]
    sftp.remove(path + "2")
print("sftp")

channels = [client.get_transport().open_session() for _ in range(10)]
for number, channel in enumerate(channels):
    channel.exec_command(f"echo {number}")
assert [channel.makefile().read() for channel in channels] == [f"{n}\n".encode() for n in range(10)]
print("channels")

client.close()
print("all done")
