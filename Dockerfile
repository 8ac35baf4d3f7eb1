# docker build -t vlmbench . ; docker run --rm -v "$PWD:/data" vlmbench zeroshot -m tiny-clip -d digits
#
# Without pycocoevalcap: its archive holds METEOR's jar, Stanford's tokenizer and SPICE, and whoever passes an image on
# passes these on too (see NOTICE). METEOR reads its data from there; to use it, install the package in a container:
#   docker run --rm -v "$PWD:/data" --entrypoint sh vlmbench -c "pip install --no-deps pycocoevalcap && vlmbench demo"
FROM python:3.12-slim
COPY . /source
RUN pip install --no-cache-dir torch --index-url https://download.pytorch.org/whl/cpu \
 && pip install --no-cache-dir /source \
 && pip uninstall --yes pycocoevalcap \
 && rm -rf /source \
 && ! find / -xdev -name "*.jar" | grep .
WORKDIR /data
ENV HF_HOME=/data/.cache/huggingface VLMBENCH_CACHE_DIR=/data/.cache/vlmbench
ENTRYPOINT ["vlmbench"]
