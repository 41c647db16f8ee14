# One image for the web and, with `python worker.py` as its command, for the worker.
FROM python:3.13-slim

LABEL org.opencontainers.image.title="Product Aggregator" \
      org.opencontainers.image.description="A product catalogue whose prices keep themselves up to date."

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1

WORKDIR /app

# All packages come as wheels: nothing is compiled, and a change to the code installs nothing anew.
# For IMAGE_STORE=s3://...: docker build --build-arg EXTRAS="-r requirements-s3.txt"
ARG EXTRAS=""
COPY requirements.txt requirements-s3.txt ./
RUN pip install --no-cache-dir --only-binary=:all: --root-user-action=ignore -r requirements.txt ${EXTRAS}

COPY . .

# The code belongs to root and stays as it is; only a SQLite file has to be written, where one is used at all.
RUN python -m compileall -q aggregator migrations \
    && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin aggregator \
    && install -d -o 10001 -g 10001 instance

USER 10001:10001

EXPOSE 8000

HEALTHCHECK --interval=15s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import http.client, os; c = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('PORT', '8000')), timeout=4); c.request('GET', '/healthz'); raise SystemExit(c.getresponse().status != 200)"]

CMD ["python", "web.py"]
