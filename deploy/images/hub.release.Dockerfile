# The hub's image of a release, from static programs built before, for each architecture:
#   docker buildx build --platform linux/amd64,linux/arm64 -f deploy/images/hub.release.Dockerfile dist/image
# The context has one directory for each architecture, as deploy/release makes it.
FROM gcr.io/distroless/static-debian12:nonroot
ARG TARGETARCH
COPY ${TARGETARCH}/flotilla-hub /usr/local/bin/flotilla-hub
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/flotilla-hub"]
