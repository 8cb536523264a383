# One replica of the control plane: docker build -f infra/controlplane.Dockerfile -t engine-cloud .
FROM python:3.13-slim-bookworm AS build
WORKDIR /src
COPY requirements.lock pyproject.toml ./
# the versions of the lock, for the server alone; the build backend comes from the lock as well
RUN sed -E '/^ *--hash/d; s/ *\\$//' requirements.lock > pins.txt \
 && python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
print(*p['dependencies'], *p['optional-dependencies']['server'], sep='\n')" > needs.txt \
 && python -m venv /opt/engine-cloud \
 && /opt/engine-cloud/bin/pip install --no-cache-dir -r needs.txt -c pins.txt
COPY runtime_agent runtime_agent
COPY controlplane controlplane
COPY migrations migrations
RUN /opt/engine-cloud/bin/pip install --no-cache-dir --no-deps .

FROM python:3.13-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /var/lib/engine-cloud engine-cloud \
 && install -d -m 0700 -o engine-cloud -g engine-cloud /var/lib/engine-cloud
COPY --from=build /opt/engine-cloud /opt/engine-cloud
USER engine-cloud
ENV CONTROLPLANE_HOME=/var/lib/engine-cloud PYTHONDONTWRITEBYTECODE=1
VOLUME /var/lib/engine-cloud
EXPOSE 8700
STOPSIGNAL SIGTERM
ENTRYPOINT ["/opt/engine-cloud/bin/controlplane"]
CMD ["serve", "--host", "0.0.0.0", "--workers", "2"]
