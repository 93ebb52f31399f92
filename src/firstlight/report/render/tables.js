// A table that continues beyond its box is told apart by its class, for which the style sheet has a sentence.
const boxes = new ResizeObserver((found) => {
  for (const { target } of found) {
    const box = target.closest(".scroll");
    box.classList.toggle("cut", box.scrollWidth > box.clientWidth + 1);
  }
});
for (const box of document.querySelectorAll(".scroll")) for (const part of [box, box.firstElementChild]) boxes.observe(part);
