# orchestrad in a container, talking to an engine whose socket is mounted into it.
#
#   docker build -t orchestrad .
#   docker run -d --name orchestrad \
#     -v /var/run/docker.sock:/var/run/docker.sock \
#     -v /var/lib/orchestra/state:/var/lib/orchestra/state \
#     -v /run/orchestra:/run/orchestra orchestrad
#
# The state directory must be mounted at the path it has on the host: the engine mounts layers by
# that path. Whoever reaches the engine's socket is root on its host; this container is no wall.
ARG BASE=node:24-alpine
FROM ${BASE}
ENV NODE_ENV=production
WORKDIR /opt/orchestra
COPY . .
# A context that brings its own production node_modules builds without a network.
RUN test -d node_modules/hono || npm ci --omit=dev --ignore-scripts
# The mounted socket belongs to root, and so does everything that it can do.
USER 0
ENTRYPOINT ["node", "--max-semi-space-size=16", "daemon/main.ts"]
CMD ["--engine", "unix:///var/run/docker.sock", "--state-dir", "/var/lib/orchestra/state", "--socket", "/run/orchestra/orchestra.sock"]
