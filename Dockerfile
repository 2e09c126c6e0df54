# Two images: `orchestra`, the command line alone (for CI), and `orchestrad`, the daemon.
#
#   docker build -t orchestrad .
#   docker build -t orchestra --target orchestra .
#
#   docker run -d --name orchestrad --user 1000:1000 \
#     --group-add "$(stat -c %g /var/run/docker.sock)" \
#     -v /var/run/docker.sock:/var/run/docker.sock \
#     -v /var/lib/orchestra/state:/var/lib/orchestra/state \
#     -v /run/orchestra:/run/orchestra orchestrad
#   docker run --rm -v /run/orchestra:/run/orchestra -v "$PWD:/work" orchestra run "Build and test"
#
# Neither runs as root. The state directory must belong to the user and be mounted at the path that
# it has on the host: the engine mounts layers by that path. Whoever reaches the engine's socket is
# root on its host; this container is no wall. Both hold what is in them as /opt/orchestra/sbom.cdx.json.
ARG BASE=node:24-alpine
FROM ${BASE} AS build
WORKDIR /opt/orchestra
COPY . .
# A context that brings its own production node_modules builds without a network.
RUN test -d node_modules/hono || npm ci --omit=dev --ignore-scripts
ARG SOURCE_DATE_EPOCH=0
RUN node packaging/image/write-sbom.ts sbom.cdx.json

FROM ${BASE} AS orchestra
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="orchestra" \
      org.opencontainers.image.description="The command line of Orchestra" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0" \
      orchestra.sbom="/opt/orchestra/sbom.cdx.json"
ENV NODE_ENV=production ORCHESTRA_HOST=unix:///run/orchestra/orchestra.sock
COPY --from=build /opt/orchestra/bin /opt/orchestra/bin
COPY --from=build /opt/orchestra/cli /opt/orchestra/cli
COPY --from=build /opt/orchestra/contract /opt/orchestra/contract
COPY --from=build /opt/orchestra/setup /opt/orchestra/setup
COPY --from=build /opt/orchestra/verifier /opt/orchestra/verifier
COPY --from=build /opt/orchestra/images /opt/orchestra/images
COPY --from=build /opt/orchestra/node_modules /opt/orchestra/node_modules
COPY --from=build /opt/orchestra/package.json /opt/orchestra/sbom.cdx.json /opt/orchestra/
WORKDIR /work
USER 1000:1000
ENTRYPOINT ["node", "/opt/orchestra/cli/main.ts"]
CMD ["help"]

FROM ${BASE} AS orchestrad
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="orchestrad" \
      org.opencontainers.image.description="The daemon of Orchestra" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0" \
      orchestra.sbom="/opt/orchestra/sbom.cdx.json"
ENV NODE_ENV=production
WORKDIR /opt/orchestra
COPY --from=build /opt/orchestra /opt/orchestra
USER 1000:1000
ENTRYPOINT ["node", "--max-semi-space-size=16", "daemon/main.ts"]
CMD ["--engine", "unix:///var/run/docker.sock", "--state-dir", "/var/lib/orchestra/state", "--socket", "/run/orchestra/orchestra.sock"]
