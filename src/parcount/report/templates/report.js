"use strict";
(() => {
  const all = document.querySelectorAll("details");
  const samples = document.querySelectorAll("details.samples");
  const toggle = document.getElementById("open");
  const closed = () => [...samples].some((one) => !one.open);

  document.querySelector(".tools").hidden = false;
  toggle.addEventListener("click", () => {
    const open = closed();
    samples.forEach((one) => { one.open = open; });
    toggle.textContent = open ? "Close all rounds" : "Open all rounds";
  });

  document.getElementById("save").addEventListener("click", () => {
    const results = JSON.parse(document.getElementById("result").textContent);
    const content = JSON.stringify(results.length === 1 ? results[0] : results, null, 1);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([content], { type: "application/json" }));
    link.download = "parcount.json";
    link.click();
  });

  // A link to a cell shows its rounds.
  const reveal = () => {
    const rounds = document.getElementById(location.hash.slice(1))?.querySelector("details.samples");
    if (rounds) { rounds.open = true; }
  };
  addEventListener("hashchange", reveal);
  reveal();

  // Not every browser opens them in print by the style sheet.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...all].filter((one) => !one.open);
    opened.forEach((one) => { one.open = true; });
  });
  addEventListener("afterprint", () => opened.forEach((one) => { one.open = false; }));
})();
