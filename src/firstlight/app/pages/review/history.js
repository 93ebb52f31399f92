// What was decided in this tab, so that it can be taken back, any number of steps, also after a reload.

export class History {
  constructor(name) {
    this.name = name;
    try {
      this.steps = JSON.parse(sessionStorage.getItem(name)) ?? [];
    } catch {
      this.steps = [];
    }
  }

  /** A step is { id, before, after }: an image, and what was decided of it before and after. */
  push(step) {
    this.steps.push(step);
    this.keep();
  }

  last() {
    return this.steps.at(-1);
  }

  pop() {
    this.steps.pop();
    this.keep();
  }

  keep() {
    try {
      sessionStorage.setItem(this.name, JSON.stringify(this.steps));
    } catch {
      // The store is full: what was decided before this page was loaded can then not be taken back.
    }
  }
}
