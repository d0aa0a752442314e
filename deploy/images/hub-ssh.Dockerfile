# docker build -f deploy/images/hub-ssh.Dockerfile -t flotilla-hub:ssh .
# For repositories at ssh:// URLs: contains OpenSSH's client, and therefore is based on Debian.
FROM docker.io/library/rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked -p flotilla-hub --bin flotilla-hub \
 && cp target/release/flotilla-hub /flotilla-hub

FROM docker.io/library/debian:bookworm-slim
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates openssh-client \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 65532 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin nonroot
COPY --from=build /flotilla-hub /usr/local/bin/flotilla-hub
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/flotilla-hub"]
