// Everyday use of @saintno/comfyui-sdk: a picture from a text, a picture from an uploaded one, and a run that is stopped.
import { readFileSync } from "node:fs";
import { CallWrapper, ComfyApi, PromptBuilder } from "@saintno/comfyui-sdk";

const { url, text, image, endless, picture } = JSON.parse(readFileSync(0, "utf8"));
const api = new ComfyApi(url).init();
await api.waitForReady();

async function fetched(info) {
  return Buffer.from(await (await api.getImage(info)).arrayBuffer()).toString("base64");
}

function run(prompt, output, extra = {}) {
  return new Promise((resolve, reject) => {
    const told = { progress: [] };
    new CallWrapper(api, new PromptBuilder(prompt, [], ["images"]).setOutputNode("images", output))
      .onProgress((info) => {
        told.progress.push([info.value, info.max]);
        extra.onProgress?.();
      })
      .onFinished((data) => resolve({ ...told, images: data.images.images }))
      .onFailed((error) => reject(error))
      .run();
  });
}

const result = {};
const drawn = await run(text, "9");
result.drawn = await fetched(drawn.images[0]);
result.progress = drawn.progress;

const blob = new Blob([Buffer.from(picture, "base64")]);
const kept = await api.uploadImage(blob, "javascript.png", { override: true });
result.uploaded = kept.info;
image["1"].inputs.image = kept.info.filename;
result.used = await fetched((await run(image, "2")).images[0]);

let asked = false;
const stop = () => {
  if (!asked) api.interrupt();
  asked = true;
};
result.stopped = await run(endless, "9", { onProgress: stop }).then(
  () => "finished",
  () => "stopped",
);
console.log(JSON.stringify(result));
process.exit(0);
