// Narrows the menu while something is typed into its search box.
"use strict";
const find = document.getElementById("find");
if (find) {
  const narrow = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const section of document.querySelectorAll(".menu section")) {
      let any = false;
      for (const item of section.querySelectorAll("li")) {
        const text = item.dataset.words.toLowerCase();
        item.hidden = !words.every((word) => text.includes(word));
        any ||= !item.hidden;
      }
      section.hidden = !any;
    }
  };
  find.addEventListener("input", narrow);
  narrow();
}
