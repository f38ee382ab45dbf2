#!/usr/bin/env bash
# Installs what the end-to-end tests need: PostgreSQL, servers for secrets, and the client programs in tests/e2e/clients.
# Quick when everything is there. Versions are pinned by the lock files beside each client.
#   tests/e2e/setup.sh            for the tests
#   tests/e2e/setup.sh --build    only what building and the demo need
#   tests/e2e/setup.sh --bench    also the peers that bench/run.sh compares with
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
clients=$here/clients
target=${CARGO_TARGET_DIR:-$here/../../target}
mkdir -p "$target/e2e"
out=$(cd "$target/e2e" && pwd)

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# install FILE-OR-PROGRAM PACKAGE ... : Debian packages whose file is missing.
missing=()
need() { # need PACKAGE PROBE...
  local package=$1 probe
  shift
  for probe in "$@"; do
    # A pattern may match several versions of a file, and none when it is not installed.
    if compgen -G "$probe" >/dev/null || command -v "$probe" >/dev/null; then return; fi
  done
  missing+=("$package")
}

need postgresql '/usr/lib/postgresql/*/bin/postgres'
need postgresql-client psql
need openssh-server /usr/sbin/sshd
need openssh-client ssh
need libclang-dev '/usr/lib/llvm-*/lib/libclang.so' '/usr/lib/llvm-*/lib/libclang-[0-9]*.so*'
if [ "${1:-}" != --build ]; then
need python3-venv '/usr/lib/python3*/ensurepip' '/usr/local/lib/python3*/ensurepip' "$HOME/.pyenv/versions/*/lib/python3*/ensurepip"
need nginx-light nginx /usr/sbin/nginx
need curl curl
need nghttp2-client h2load
need wrk wrk
need nodejs node
need npm npm
need golang-go go
need default-jdk-headless javac
need maven mvn
need bsdutils script
need rsync rsync
need git git
need vim-tiny vi vim
need procps top
need xvfb Xvfb
need xauth xauth
need x11-utils xdpyinfo
need chromium chromium
fi
if [ "${1:-}" = --bench ]; then
  need pgbouncer /usr/sbin/pgbouncer
  need haproxy /usr/sbin/haproxy
fi
if [ ${#missing[@]} -gt 0 ]; then
  echo "installing ${missing[*]}" >&2
  as_root apt-get update -qq
  # The packages' own servers are not wanted: the tests start theirs. A machine may have a policy for this already.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e $policy ]; then
    trap 'as_root rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
    as_root chmod 755 $policy
  fi
  as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
fi

if [ "${1:-}" = --build ]; then exit; fi

# stale NAME FILE... : whether NAME was last made from other files than these.
stale() {
  local name=$1
  shift
  sum=$(cat "$@" | sha256sum | cut -d' ' -f1)
  [ "$(cat "$out/$name.made" 2>/dev/null || true)" != "$sum" ]
}
made() { printf '%s' "$sum" >"$out/$1.made"; }

if stale python "$clients/python/requirements.txt"; then
  rm -rf "$out/python"
  python3 -m venv "$out/python"
  "$out/python/bin/pip" install --quiet --require-hashes --only-binary :all: -r "$clients/python/requirements.txt"
  made python
fi

if stale conformance "$clients/python/conformance.txt"; then
  rm -rf "$out/conformance"
  python3 -m venv "$out/conformance"
  "$out/conformance/bin/pip" install --quiet --require-hashes --only-binary :all: -r "$clients/python/conformance.txt"
  made conformance
fi

if stale ssh "$clients/python/ssh.txt"; then
  rm -rf "$out/ssh"
  python3 -m venv "$out/ssh"
  "$out/ssh/bin/pip" install --quiet --require-hashes --only-binary :all: -r "$clients/python/ssh.txt"
  made ssh
fi

# Servers that secrets are read from: OpenBao, which has Vault's API, and moto, which has that of AWS Secrets Manager.
if stale secrets "$clients/python/secrets.txt"; then
  rm -rf "$out/secrets"
  python3 -m venv "$out/secrets"
  "$out/secrets/bin/pip" install --quiet --require-hashes --only-binary :all: -r "$clients/python/secrets.txt"
  made secrets
fi

# Uvicorn, a server of Python applications; and kosoku, which tests WebSockets with Autobahn's cases.
if stale http "$clients/python/http.txt"; then
  rm -rf "$out/http"
  python3 -m venv "$out/http"
  "$out/http/bin/pip" install --quiet --require-hashes --only-binary :all: -r "$clients/python/http.txt"
  made http
fi

# Clients that speak gRPC, and WebSockets over HTTP/2.
if stale web "$clients/python/web.txt"; then
  rm -rf "$out/web"
  python3 -m venv "$out/web"
  "$out/web/bin/pip" install --quiet --require-hashes --only-binary :all: -r "$clients/python/web.txt"
  made web
fi

if stale node "$clients/node/package.json" "$clients/node/package-lock.json"; then
  mkdir -p "$out/node"
  cp "$clients/node/package.json" "$clients/node/package-lock.json" "$out/node/"
  (cd "$out/node" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2)
  made node
fi

# Libraries with which web apps call gRPC services.
if stale grpc-web "$clients/grpc-web/package.json" "$clients/grpc-web/package-lock.json"; then
  mkdir -p "$out/grpc-web"
  cp "$clients/grpc-web/package.json" "$clients/grpc-web/package-lock.json" "$out/grpc-web/"
  (cd "$out/grpc-web" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2)
  made grpc-web
fi

# The server of Visual Studio Code, as its Remote-SSH extension brings it to a machine: a package has the whole of it.
if stale vscode "$clients"/vscode/*; then
  rm -rf "$out/vscode"
  mkdir -p "$out/vscode/server"
  cp "$clients/vscode/package.json" "$clients/vscode/package-lock.json" "$out/vscode/server/"
  (cd "$out/vscode/server" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2)
  read -r package digest <"$clients/vscode/server.txt"
  tarball=$(cd "$out/vscode" && npm pack --silent --ignore-scripts "$package")
  echo "$digest  $out/vscode/$tarball" | sha256sum --check --status
  tar -xzf "$out/vscode/$tarball" -C "$out/vscode/server" --strip-components=3 --wildcards --exclude='*.map' \
    'package/lib/vscode/bin/*' 'package/lib/vscode/out/server-*' 'package/lib/vscode/out/nls.*' 'package/lib/vscode/product.json'
  # It would be taken for that of what needs it.
  printf '{ "name": "code-server", "type": "module" }\n' >"$out/vscode/server/package.json"
  tar -czf "$out/vscode/server.tar.gz" -C "$out/vscode/server" --exclude='*.map' .
  rm -rf "$out/vscode/server" "${out:?}/vscode/$tarball"
  made vscode
fi

# What drives Chromium; the browser itself is Debian's.
if stale browser "$clients/browser/package.json" "$clients/browser/package-lock.json"; then
  mkdir -p "$out/browser"
  cp "$clients/browser/package.json" "$clients/browser/package-lock.json" "$out/browser/"
  (cd "$out/browser" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2)
  made browser
fi

jdbc=42.7.8
jdbc_sha256=2a32a9dcbc42d67a50ad3a0de5efd102c8d2be46720045f2cbd6689f160ab7c7
if stale java "$0" "$clients"/java/*.java; then
  jar=$out/java/postgresql-$jdbc.jar
  mkdir -p "$out/java"
  if ! echo "$jdbc_sha256  $jar" | sha256sum --check --status 2>/dev/null; then
    (cd "$out" && mvn -q -B dependency:copy "-Dartifact=org.postgresql:postgresql:$jdbc" "-DoutputDirectory=$out/java" >&2)
    echo "$jdbc_sha256  $jar" | sha256sum --check --status
  fi
  javac -cp "$jar" -d "$out/java" "$clients"/java/*.java
  made java
fi

if stale go "$clients"/go/*; then
  (cd "$clients/go" && go build -o "$out/go-client" .)
  made go
fi

# Go's library for gRPC.
if stale go-grpc "$clients"/go-grpc/*; then
  (cd "$clients/go-grpc" && go build -o "$out/go-grpc-client" .)
  made go-grpc
fi

# grpcurl, and h2spec, which tests what speaks HTTP/2.
if stale http-tools "$clients"/http-tools/*; then
  mkdir -p "$out/http-tools"
  (cd "$clients/http-tools" && go build -o "$out/http-tools/" \
    github.com/fullstorydev/grpcurl/cmd/grpcurl github.com/summerwind/h2spec/cmd/h2spec)
  made http-tools
fi
