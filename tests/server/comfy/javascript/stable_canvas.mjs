// Everyday use of @stable-canvas/comfyui-client: a picture from a text, a picture from an uploaded one, a stopped run.
import { readFileSync } from "node:fs";
import { Client } from "@stable-canvas/comfyui-client";
import WebSocket from "ws";

const { url, text, image, endless, picture } = JSON.parse(readFileSync(0, "utf8"));
const client = new Client({ api_host: new URL(url).host, WebSocket, fetch });
client.connect();

async function fetched(output) {
  const found = output.images.find((each) => each.type === "url"); // the others are previews
  return Buffer.from(await (await fetch(found.data)).arrayBuffer()).toString("base64");
}

const result = { progress: [] };
const drawn = await client.enqueue(text, { progress: ({ value, max }) => result.progress.push([value, max]) });
result.drawn = await fetched(drawn);

const form = new FormData();
form.append("image", new Blob([Buffer.from(picture, "base64")]), "javascript.png");
form.append("overwrite", "true");
const kept = await (await client.fetchApi("/upload/image", { method: "POST", body: form })).json();
result.uploaded = { filename: kept.name, subfolder: kept.subfolder, type: kept.type };
image["1"].inputs.image = kept.name;
result.used = await fetched(await client.enqueue(image));

let asked = false;
const stop = () => {
  if (!asked) client.interrupt();
  asked = true;
};
result.stopped = await new Promise((resolve) => {
  client.on("execution_interrupted", () => resolve("stopped"));
  client.enqueue(endless, { progress: stop }).then(
    () => resolve("finished"),
    () => resolve("stopped"),
  );
});
console.log(JSON.stringify(result));
process.exit(0);
