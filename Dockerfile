# One binary on a slim system, as a user without rights, which writes nowhere but into its volume.
#
#   docker build -t tambour .
#   docker run --read-only --cap-drop ALL -p 127.0.0.1:8080:8080 -v tambour-data:/data tambour
#   docker exec … tambour token --sub me
#
# As it is, it is a development hub: it makes its own secret in /data. For production give it keys and
# --production, see docs/configuration.md and docs/deploy/.

FROM rust:1.95-bookworm AS build
WORKDIR /build
# The packages first, with nothing in the place of our sources: this layer stays until a manifest changes.
COPY Cargo.toml Cargo.lock ./
COPY actors/Cargo.toml actors/
RUN mkdir --parents src actors/src && touch src/lib.rs actors/src/lib.rs && echo 'fn main() {}' > src/main.rs \
    && cargo build --release --locked --bin tambour
COPY actors actors
COPY src src
COPY console/dist console/dist
# Cargo goes by times, and those of the sources may be older than that layer.
RUN touch src/lib.rs src/main.rs actors/src/lib.rs && cargo build --release --locked --bin tambour

FROM debian:bookworm-slim
RUN groupadd --gid 10001 tambour \
    && useradd --no-create-home --uid 10001 --gid 10001 --home-dir /data --shell /usr/sbin/nologin tambour \
    && install --directory --owner tambour --group tambour --mode 0700 /data
COPY --from=build /build/target/release/tambour /usr/local/bin/tambour
# By number, so that an orchestrator can see that it is not root.
USER 10001:10001
# In variables, so that they hold for every command that is run in the container, with whatever arguments.
ENV TAMBOUR__HTTP__LISTEN=0.0.0.0:8080 TAMBOUR__STORE__DATA_DIR=/data
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
# Asks http://127.0.0.1:8080; with TLS set TAMBOUR_URL, and TAMBOUR_CA for a private authority.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["tambour", "health"]
ENTRYPOINT ["tambour"]
CMD ["serve"]
