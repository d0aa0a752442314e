# docker build -f deploy/images/agent.Dockerfile -t flotilla-agent .
FROM docker.io/library/rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked -p flotilla-agent --bin flotilla-agent \
 && cp target/release/flotilla-agent /flotilla-agent

# Contains only the C library: no shell, no package manager.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /flotilla-agent /usr/local/bin/flotilla-agent
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/flotilla-agent"]
