/* Interactive figures, drawn when they come into view. The plotting script lies beside the book
   and is fetched once, by pages that have such a figure. */
(() => {
  const printing = location.hash === "#print"; // a page of A4 is narrower than a window
  const config = { displaylogo: false, responsive: !printing, displayModeBar: printing ? false : "hover" };
  let plotly = null;

  const script = () => {
    plotly ??= new Promise((resolve, reject) => {
      const tag = document.createElement("script");
      tag.src = (document.documentElement.dataset.content_root || "./") + "_static/plotly.min.js";
      tag.onload = () => resolve(window.Plotly);
      tag.onerror = reject;
      document.head.append(tag);
    });
    return plotly;
  };

  const draw = async (box) => {
    const Plotly = await script();
    const { data, layout } = JSON.parse(box.querySelector("script").textContent);
    layout.paper_bgcolor = layout.plot_bgcolor = "rgba(0,0,0,0)";
    if (box.clientWidth < 560) {
      layout.font.size = 12;
      Object.assign(layout.margin, { l: 56, r: 8 });
    }
    if (printing) layout.width = 660;
    box.replaceChildren();
    await Plotly.newPlot(box, data, layout, config);
    box.dataset.drawn = "yes";
  };

  addEventListener("DOMContentLoaded", () => {
    const boxes = [...document.querySelectorAll(".interactive")];
    const near = new IntersectionObserver(
      (entries) => {
        for (const { target, isIntersecting } of entries) {
          if (!isIntersecting) continue;
          near.unobserve(target);
          draw(target);
        }
      },
      { rootMargin: "400px" },
    );
    boxes.forEach((box) => (printing ? draw(box) : near.observe(box)));
  });
})();
