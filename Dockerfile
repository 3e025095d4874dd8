# One binary on a slim system, as a user without rights.
#
#   docker build -t tambour .
#   docker run -p 127.0.0.1:8080:8080 -v tambour-data:/data tambour
#
# As it is, it is a development hub: it makes its own secret in /data. For production give it keys and
# --production, see docs/configuration.md.

FROM rust:1.95-bookworm AS build
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY actors actors
COPY src src
COPY console console
RUN cargo build --release --locked --bin tambour

FROM debian:bookworm-slim
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin tambour \
    && install --directory --owner tambour --group tambour --mode 0700 /data
COPY --from=build /build/target/release/tambour /usr/local/bin/tambour
# By number, so that an orchestrator can see that it is not root.
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
# Asks http://127.0.0.1:8080; with TLS set TAMBOUR_URL, and TAMBOUR_CA for a private authority.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 CMD ["tambour", "health"]
ENTRYPOINT ["tambour"]
CMD ["serve", "--listen", "0.0.0.0:8080", "--data", "/data"]
