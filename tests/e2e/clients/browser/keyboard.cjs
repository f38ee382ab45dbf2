// Using a page as somebody does who has no mouse.
'use strict';

// So many stops has no page here.
const MOST_STOPS = 50;

class Keyboard {
  constructor(page) {
    this.page = page;
  }

  // Goes to what has this name, as a screen reader says it, and fails when Tab does not lead there or nobody would see it.
  async reach(name) {
    const seen = [];
    for (let stop = 0; stop < MOST_STOPS; stop += 1) {
      await this.page.keyboard.press('Tab');
      const focused = await this.page.evaluate(() => {
        const element = document.activeElement;
        const style = getComputedStyle(element);
        const label = element.labels?.[0]?.textContent ?? element.getAttribute('aria-label') ?? element.textContent;
        const outlined = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0;
        return { name: label.trim(), outlined, nothing: element === document.body };
      });
      if (!focused.nothing) seen.push(focused.name);
      if (focused.name !== name || focused.nothing) continue;
      if (!focused.outlined) throw new Error(`nobody sees that ${name} has the focus`);
      return;
    }
    throw new Error(`Tab does not lead to ${name}, but to: ${seen.join(', ')}`);
  }

  // Replaces what the field with this name holds.
  async fill(name, text) {
    await this.reach(name);
    await this.page.keyboard.press('Control+A');
    await this.page.keyboard.press('Delete');
    await this.page.keyboard.type(text);
  }

  // Presses the button, or follows the link, with this name, and waits for the page that it leads to.
  async press(name) {
    await this.reach(name);
    await Promise.all([this.page.waitForEvent('framenavigated'), this.page.keyboard.press('Enter')]);
    await this.page.waitForLoadState();
  }
}

module.exports = { Keyboard };
