# docker build -f deploy/images/hub.Dockerfile -t flotilla-hub .
FROM docker.io/library/rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked -p flotilla-hub --bin flotilla-hub \
 && cp target/release/flotilla-hub /flotilla-hub

# Contains only the C library: no shell, no package manager.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /flotilla-hub /usr/local/bin/flotilla-hub
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/flotilla-hub"]
