# syntax=docker/dockerfile:1
# One image with every program: spool (serve, work, migrate and all commands), spool-tui and spool-record.
#
#   docker build --tag spool --build-arg SPOOL_COMMIT="$(git rev-parse HEAD)" .
#
# Debian's FFmpeg is linked as it is, so the builder and what runs are the same release.

FROM rust:1.95-bookworm AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends \
      clang libclang-dev pkg-config \
      libavcodec-dev libavformat-dev libavutil-dev libswresample-dev libswscale-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY crates crates
COPY entities entities
COPY migration migration
COPY tui tui
COPY worker worker
# What `spool_build_info` says of itself.
ARG SPOOL_COMMIT=unknown
# The build folder stays in the cache, so what is wanted of it is copied out.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    SPOOL_COMMIT="${SPOOL_COMMIT}" cargo build --release --locked --bin spool --bin spool-tui --bin spool-record \
 && mkdir /out \
 && cp target/release/spool target/release/spool-tui target/release/spool-record /out/

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install --yes --no-install-recommends \
      ca-certificates libavcodec59 libavformat59 libavutil57 libgcc-s1 libswresample4 libswscale6 \
 && rm -rf /var/lib/apt/lists/* \
 && install --directory --owner=10001 --group=10001 --mode=0750 /var/lib/spool
COPY --from=build /out/spool /out/spool-tui /out/spool-record /usr/local/bin/
COPY LICENSE LICENSE-APACHE LICENSE-MIT /usr/share/doc/spool/

ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="spool" \
      org.opencontainers.image.description="Takes screen recordings in, segment by segment, shows them live and makes one verified result.mp4 of each" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"

# A number, so that Kubernetes can see that it is not root. Nothing below needs a name or a shell.
USER 10001:10001
WORKDIR /var/lib/spool
# The API, and health and metrics of a worker; both are asked by probes, so there is no health check here.
EXPOSE 8080 9091
ENTRYPOINT ["/usr/local/bin/spool"]
CMD ["--help"]
