// What the page asks the server: one net on one image, at one step; all of it follows from the settings and the step.

import { api, tell } from "/static/common.js";
import { floats } from "/static/step/numbers.js";

export class Session {
  /** Of the settings { of, data }: `open` says on which image. */
  constructor(settings) {
    this.settings = settings;
    this.at = 0;
    this.shown = 0; // which image of the batch
    this.evaluation = 0; // whether layers do what they do in evaluation
    this.body = undefined;
  }

  /** Begin on an image, { image } by its number or { label } with the bytes of a file. */
  async open(image = {}, body) {
    const before = { image: this.image, body: this.body };
    Object.assign(this, { image, body });
    try {
      const found = await this.opened();
      if (this.image === image) this.at = 0;
      return found;
    } catch (error) {
      if (this.image === image) Object.assign(this, before);
      throw error;
    }
  }

  async opened() {
    const query = new URLSearchParams({ ...this.settings, ...this.image });
    const { image } = this;
    const found = await api(`/api/step?${query}`, { method: "POST", body: this.body });
    if (this.image === image) this.key = found.key; // or else another has been asked for since
    return found;
  }

  query(query) {
    return new URLSearchParams({ at: this.at, n: this.shown, evaluation: this.evaluation, ...query });
  }

  /** Ask about the step; one that the server holds no longer is gone to again, and is then the same. */
  async ask(what, query = {}) {
    const path = () => `/api/step/${this.key}/${what}?${this.query(query)}`;
    try {
      return await api(path(), { quiet: true });
    } catch (error) {
      if (!error.message.includes("no longer held")) {
        tell(error.message, "error");
        throw error;
      }
      await this.opened();
      await this.walk(0, this.at);
      return api(path());
    }
  }

  /** Go to a step from another, and return what is known there; `on` hears of each one on the way. */
  async walk(from, to, on = () => true) {
    let at = from;
    for (;;) {
      const now = await this.ask("state", { at, to });
      if (now.at === to || now.ended || now.at === at || !on(now)) return now;
      at = now.at;
    }
  }

  /** The tensors of a layer by their names, each { shape, values, low, high, extent }. */
  async tensors(layer) {
    const { tensors } = await this.ask("tensors", { layer });
    const unpacked = Object.entries(tensors).map(([name, { values, ...rest }]) => [name, { ...rest, values: values === null ? null : floats(values) }]);
    return Object.fromEntries(unpacked);
  }

  async channel(layer, of, channel) {
    const { values } = await this.ask("channel", { layer, of, channel });
    return floats(values);
  }

  working(layer, of, index) {
    return this.ask("working", { layer, of, index: index.join(",") });
  }

  /** `autograd`: also where PyTorch has to be loaded first, which takes seconds. */
  weight(name, index, autograd = false) {
    return this.ask("weight", { name, index: index.join(","), autograd: Number(autograd) });
  }
}
