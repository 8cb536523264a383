# The runtime agent: one folder of code and its few packages, the optional one for WebSockets among them. docker build -f infra/agent.Dockerfile -t runtime-agent .
FROM python:3.13-slim-bookworm AS build
WORKDIR /src
COPY requirements.lock pyproject.toml ./
RUN sed -E '/^ *--hash/d; s/ *\\$//' requirements.lock > pins.txt \
 && python -c "import tomllib; \
p = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
print(*p['dependencies'], *p['optional-dependencies']['websocket'], sep='\n')" > needs.txt \
 && python -m venv /opt/runtime-agent \
 && /opt/runtime-agent/bin/pip install --no-cache-dir -r needs.txt -c pins.txt
COPY runtime_agent runtime_agent
RUN /opt/runtime-agent/bin/pip install --no-cache-dir --no-deps . && rm /opt/runtime-agent/bin/controlplane

FROM python:3.13-slim-bookworm
RUN useradd --system --uid 10002 --home-dir /var/lib/runtime-agent runtime-agent \
 && install -d -m 0700 -o runtime-agent -g runtime-agent /var/lib/runtime-agent
COPY --from=build /opt/runtime-agent /opt/runtime-agent
USER runtime-agent
ENV RUNTIME_AGENT_HOME=/var/lib/runtime-agent PYTHONDONTWRITEBYTECODE=1
VOLUME /var/lib/runtime-agent
STOPSIGNAL SIGTERM
# mount the EngineX home read-only, join once with `docker run -i … join URL --token-stdin --source engine:/engine`
ENTRYPOINT ["/opt/runtime-agent/bin/runtime-agent"]
CMD ["run"]
